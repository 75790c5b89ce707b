package logcmd

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

// step is a step as JSON.
type step struct {
	ID       eventlog.ID     `json:"id"`
	Type     string          `json:"type"`
	Target   string          `json:"target"`
	State    stepState       `json:"state"`
	Time     time.Time       `json:"time"`           // of its commit
	Due      time.Time       `json:"due,omitzero"`   // not before
	Timer    string          `json:"timer,omitzero"` // its name
	Attempts int             `json:"attempts"`
	First    time.Time       `json:"first,omitzero"` // attempt
	Last     time.Time       `json:"last,omitzero"`  // attempt
	Error    string          `json:"error,omitzero"`
	Parked   string          `json:"parked,omitzero"` // why
	Stopped  bool            `json:"stopped,omitzero"`
	Expired  bool            `json:"expired,omitzero"`
	Shard    int             `json:"shard"`
	Chain    eventlog.ID     `json:"chain,omitzero"`
	Cause    eventlog.ID     `json:"cause,omitzero"`
	Data     json.RawMessage `json:"data,omitempty"`

	now time.Time
}

// A stepState says what a step waits for.
type stepState string

const (
	ready   stepState = "ready"   // nothing but a runner
	waiting stepState = "waiting" // its time, or that of its next attempt
	parked  stepState = "parked"  // a runner that can do it
	stopped stepState = "stopped" // its target to go on
	dead    stepState = "dead"    // a decision
)

func newStep(i outbox.Info, now time.Time) step {
	s := step{ID: i.ID, Type: i.Type, Target: i.Target, State: ready, Time: i.Time, Due: i.Due, Timer: i.Timer,
		Attempts: i.Attempts, First: i.First, Last: i.Last, Error: i.Err, Parked: i.Parked, Stopped: i.Stopped, Expired: i.Expired,
		Shard: i.Shard, Chain: i.Chain, Cause: i.Cause, Data: i.Data, now: now}
	switch {
	case i.Dead:
		s.State = dead
	case i.Parked != "":
		s.State = parked
	case i.Stopped:
		s.State = stopped
	case i.Due.After(now):
		s.State = waiting
	}
	return s
}

// trouble is what is wrong with the step, if anything is.
func (s step) trouble() string {
	if s.Error != "" {
		return brief(s.Error)
	}
	return brief(s.Parked)
}

// lane is the first segment of the target's name.
func (s step) lane() string {
	lane, _, _ := strings.Cut(s.Target, "/")
	return lane
}

// brief is the beginning of a text's first line.
func brief(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if runes := []rune(line); len(runes) > shownData {
		line, more = string(runes[:shownData]), true
	}
	if more {
		line += "…"
	}
	return line
}

// The columns of steps.
var (
	idColumn     = cli.Column[step]{Head: "ID", Cell: func(s step) string { return s.ID.String() }}
	typeColumn   = cli.Column[step]{Head: "TYPE", Cell: func(s step) string { return s.Type }}
	targetColumn = cli.Column[step]{Head: "TARGET", Cell: func(s step) string { return s.Target }}
	stateColumn  = cli.Column[step]{Head: "STATE", Cell: func(s step) string { return string(s.State) }}
	ageColumn    = cli.Column[step]{Head: "AGE", Right: true, Cell: func(s step) string { return age(s.Time, s.now) }}
	dueColumn    = cli.Column[step]{Head: "DUE", Cell: func(s step) string { return moment(s.Due) }}
	tryColumn    = cli.Column[step]{Head: "ATTEMPTS", Right: true, Cell: func(s step) string { return strconv.Itoa(s.Attempts) }}
	errorColumn  = cli.Column[step]{Head: "ERROR", Cell: step.trouble}
)

// moment is a time to the second, "" of none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// age is how long ago something was.
func age(t, now time.Time) string { return span(max(0, now.Sub(t))) }

// span is a duration for people.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 2*day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
