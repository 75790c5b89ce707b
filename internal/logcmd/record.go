package logcmd

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// recordColumns show a record in a table.
var recordColumns = []cli.Column[eventlog.Record]{
	{Head: "TIME", Cell: func(r eventlog.Record) string { return r.Time.Format("2006-01-02T15:04:05.000000Z07:00") }},
	{Head: "PLACE", Right: true, Cell: func(r eventlog.Record) string { return fmt.Sprintf("%d:%d", r.Shard, r.Revision) }},
	{Head: "STREAM", Cell: func(r eventlog.Record) string { return r.Stream }},
	{Head: "VERSION", Right: true, Cell: func(r eventlog.Record) string { return strconv.FormatUint(r.Version, 10) }},
	{Head: "TYPE", Cell: func(r eventlog.Record) string { return r.Type }},
	{Head: "TAGS", Cell: func(r eventlog.Record) string { return strings.Join(r.Tags, " ") }},
	{Head: "DATA", Cell: func(r eventlog.Record) string { return shown(r.Data, r.Codec) }},
}

const shownData = 120

// shown is a payload for people to look at: its beginning, when it is a text.
func shown(data []byte, codec string) string {
	if !json.Valid(data) {
		return strings.TrimSpace(fmt.Sprintf("(%d bytes %s)", len(data), codec))
	}
	runes := []rune(string(data[:min(len(data), 4*shownData)]))
	if len(runes) <= shownData && len(data) <= 4*shownData {
		return string(runes)
	}
	return string(runes[:min(len(runes), shownData)]) + "…"
}

// parseTime reads a time, a date, or how long ago.
func parseTime(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if t, ok := parseDate(s); ok {
		return t, nil
	}
	return time.Time{}, cli.Usage("time %q: want 2006-01-02, 2006-01-02T15:04:05Z or how long ago, like 90m", s)
}

// parseAhead reads a time, a date, or how long from now.
func parseAhead(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(d), nil
	}
	if t, ok := parseDate(s); ok {
		return t, nil
	}
	return time.Time{}, cli.Usage("time %q: want 2006-01-02, 2006-01-02T15:04:05Z or how long from now, like 90m", s)
}

func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
