package logcmd

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

// timerList is what the flags of timers say.
type timerList struct {
	target, before string
	limit          int
	format         cli.Format
}

func newTimers(store *cli.Store) *cobra.Command {
	t := &timerList{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "timers",
		Short: "List the steps that wait for their time, the next one first",
		Long: `Timers lists the steps that wait for the time which they were given, the next
one first, named timers with their names. Those whose time has passed stand at
the top: no runner works on this log now. Steps that were tried and wait for
their next attempt are listed by "steps".

--before takes 2006-01-02, 2006-01-02T15:04:05Z, or how long from now, like 90m.`,
		Example: `  eventlog timers --limit 20
  eventlog timers --before 24h
  eventlog timers --target account/ada -o jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.limit < 0 {
				return cli.Usage("--limit %d", t.limit)
			}
			before, err := t.parse(cmd)
			if err != nil {
				return err
			}
			return look(cmd, store, func(cmd *cobra.Command, l *eventlog.Log) error { return t.print(cmd, l, before) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.target, "target", "", "timers of this `stream`")
	f.StringVar(&t.before, "before", "", "timers that are due before this `time`")
	f.IntVar(&t.limit, "limit", 0, "at most `n` timers")
	t.format.AddFlag(cmd)
	noFiles(cmd, "target", "before", "limit")
	return cmd
}

// parse returns the time that --before names, zero without one.
func (t *timerList) parse(cmd *cobra.Command) (time.Time, error) {
	if err := notEmpty(cmd, "target", "before"); err != nil || t.before == "" {
		return time.Time{}, err
	}
	return parseAhead(t.before, time.Now())
}

var timerColumns = []cli.Column[step]{
	dueColumn,
	{Head: "IN", Right: true, Cell: func(s step) string {
		if d := s.Due.Sub(s.now); d > 0 {
			return span(d)
		}
		return "overdue"
	}},
	{Head: "TIMER", Cell: func(s step) string { return s.Timer }},
	typeColumn, targetColumn, stateColumn, idColumn,
}

func (t *timerList) print(cmd *cobra.Command, l *eventlog.Log, before time.Time) error {
	list := cli.NewList(cmd.OutOrStdout(), t.format, timerColumns)
	now := l.Now()
	for i, err := range outbox.Timers(cmd.Context(), l) {
		if err != nil {
			return errors.Join(err, list.End())
		}
		if !before.IsZero() && !i.Due.Before(before) {
			break
		}
		if t.target != "" && i.Target != t.target {
			continue
		}
		if err := list.Add(newStep(i, now)); err != nil {
			return err
		}
		if list.Len() == t.limit {
			break
		}
	}
	return list.End()
}
