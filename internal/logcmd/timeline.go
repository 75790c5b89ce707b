package logcmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// timelineColumns show a record where it was appended.
var timelineColumns = []cli.Column[eventlog.Record]{
	{Head: "SEEN", Right: true, Cell: func(r eventlog.Record) string { return strconv.FormatUint(seen(r), 10) }},
	{Head: "TIME", Cell: func(r eventlog.Record) string { return appended(r).Format("2006-01-02T15:04:05.000000Z07:00") }},
	{Head: "MODE", Cell: mode},
	{Head: "PLACE", Right: true, Cell: placeOrDash},
	{Head: "STREAM", Cell: func(r eventlog.Record) string { return r.Stream }},
	{Head: "TYPE", Cell: func(r eventlog.Record) string { return r.Type }},
	{Head: "TAGS", Cell: func(r eventlog.Record) string { return strings.Join(r.Tags, " ") }},
	{Head: "DATA", Cell: func(r eventlog.Record) string { return shown(r.Data, r.Codec) }},
}

func seen(r eventlog.Record) uint64 {
	if r.Relaxed != nil {
		return uint64(r.Relaxed.Seen)
	}
	return uint64(r.Revision) - 1
}

func appended(r eventlog.Record) time.Time {
	if r.Relaxed != nil {
		return r.Relaxed.Time
	}
	return r.Time
}

func mode(r eventlog.Record) string {
	switch {
	case r.Relaxed == nil:
		return "strict"
	case r.Revision == 0:
		return "loose"
	}
	return "folded"
}

func placeOrDash(r eventlog.Record) string {
	if r.Revision == 0 {
		return "-"
	}
	return fmt.Sprintf("%d:%d", r.Shard, r.Revision)
}

func newTimeline(store *cli.Store) *cobra.Command {
	r := &reading{format: cli.Table, query: eventlog.Query{Timeline: true}}
	cmd := &cobra.Command{
		Use:   "timeline [SHARD]",
		Short: "Print the events of a shard by when they were appended",
		Long: `Timeline prints the events of a shard, or of that of --stream, as they were
appended: strict appends behind the revision that they followed, relaxed ones
(append --relaxed) behind the revision that their process had seen, whether or
not they are folded into the shard; then by time. It is a snapshot. What is
"loose" waits to be folded and has no place yet.`,
		Example: `  eventlog timeline 3
  eventlog timeline 3 --since 10m -o jsonl
  eventlog timeline --stream account/ada`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && r.query.Stream == "" {
				return cli.Usage("name a SHARD, or a --stream")
			}
			if len(args) > 0 {
				shard, err := strconv.Atoi(args[0])
				if err != nil || shard < 0 {
					return cli.Usage("shard %q: want a number", args[0])
				}
				r.query.Shards = []int{shard}
			}
			if err := r.parseTimes(time.Now()); err != nil {
				return err
			}
			if r.query.Limit < 0 {
				return cli.Usage("--limit %d", r.query.Limit)
			}
			return look(cmd, store, r.timeline)
		},
	}
	q, f := &r.query, cmd.Flags()
	f.StringVar(&q.Stream, "stream", "", "events of this `stream`")
	f.StringVar(&q.Tag, "tag", "", "events with this `tag`")
	f.StringArrayVar(&q.Types, "type", nil, "events of this `type`; may be repeated")
	f.StringVar(&q.Category, "category", "", "events of streams whose names start with `category`/")
	f.StringVar(&r.since, "since", "", "appended at or after this `time`")
	f.StringVar(&r.until, "until", "", "appended before this `time`")
	f.IntVar(&q.Limit, "limit", 0, "at most `n` events")
	f.BoolVar(&q.System, "system", false, "system streams ($…) too")
	r.format.AddFlag(cmd)
	return cmd
}

func (r *reading) timeline(cmd *cobra.Command, l *eventlog.Log) error {
	if len(r.query.Shards) == 0 {
		r.query.Shards = []int{l.ShardOf(r.query.Stream)}
	}
	if s := r.query.Shards[0]; s >= l.Shards() {
		return cli.Usage("shard %d: the log has shards 0 to %d", s, l.Shards()-1)
	}
	list := cli.NewList(cmd.OutOrStdout(), r.format, timelineColumns)
	for rec, err := range l.Read(cmd.Context(), r.query) {
		if err == nil {
			err = list.Add(rec)
		}
		if err != nil {
			return errors.Join(err, list.End())
		}
	}
	return list.End()
}
