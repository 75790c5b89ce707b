package logcmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

// deadLetter is what dead show prints as JSON.
type deadLetter struct {
	step
	State   string  `json:"state"` // what happened last
	History []entry `json:"history"`
}

// entry is something that happened to a step.
type entry struct {
	Time    time.Time       `json:"time"`
	What    string          `json:"what"`
	Attempt int             `json:"attempt,omitzero"`
	Error   string          `json:"error,omitzero"`
	Due     time.Time       `json:"due,omitzero"` // of the next attempt
	By      string          `json:"by,omitzero"`
	Why     string          `json:"why,omitzero"`
	Data    json.RawMessage `json:"data,omitempty"` // the payload from then on
}

func newDeadShow(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter, and what happened to it",
		Long: `Show prints the dead letter of the step with this id: its payload, the chain
that it belongs to, its attempts with their errors, and what was decided on it,
by whom, when and why. It shows those, too, that were decided on.`,
		Example: `  eventlog dead show 0198c3f0-7b1e-7c4a-9d3e-000000000001
  eventlog dead show 0198c3f0-7b1e-7c4a-9d3e-000000000001 -o json | jq .data`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeDead(store, idForShell),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := eventlog.ParseID(args[0])
			if err != nil || id.IsZero() {
				return cli.Usage("%q is no id of a step", args[0])
			}
			return look(cmd, store, func(cmd *cobra.Command, l *eventlog.Log) error {
				letter, err := outbox.ReadLetter(cmd.Context(), l, id)
				if err != nil {
					return err
				}
				d := newDeadLetter(letter, l.Now())
				return d.write(cmd.OutOrStdout(), format)
			})
		},
	}
	format.AddFlag(cmd)
	return cmd
}

func newDeadLetter(l outbox.Letter, now time.Time) deadLetter {
	d := deadLetter{step: newStep(l.Info, now)}
	for _, e := range l.History {
		d.History = append(d.History, entry{Time: e.Time, What: e.What, Attempt: e.Attempt, Error: e.Err, Due: e.Due,
			By: e.By, Why: e.Why, Data: e.Data})
		d.State = e.What
	}
	return d
}

var entryColumns = []cli.Column[entry]{
	{Head: "TIME", Cell: func(e entry) string { return moment(e.Time) }},
	{Head: "WHAT", Cell: func(e entry) string { return e.What }},
	{Head: "ATTEMPT", Right: true, Cell: func(e entry) string {
		if e.Attempt == 0 {
			return ""
		}
		return strconv.Itoa(e.Attempt)
	}},
	{Head: "BY", Cell: func(e entry) string { return e.By }},
	{Head: "WHY", Cell: entry.why},
}

// why says why something happened: an error, or a reason with what was edited.
func (e entry) why() string {
	if e.Error != "" {
		return brief(e.Error)
	}
	if e.Data != nil {
		return brief(e.Why) + " [payload: " + shown(e.Data, "") + "]"
	}
	return brief(e.Why)
}

func (d *deadLetter) write(w io.Writer, f cli.Format) error {
	if err := cli.WriteObject(w, f, d, d.fields()); err != nil || f != cli.Table {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeAll(w, f, entryColumns, d.History)
}

func (d *deadLetter) fields() []cli.Field {
	return filled([]cli.Field{
		{Name: "step", Value: d.ID.String()},
		{Name: "type", Value: d.Type},
		{Name: "target", Value: d.Target},
		{Name: "timer", Value: d.Timer},
		{Name: "state", Value: d.State},
		{Name: "payload", Value: string(d.Data)},
		{Name: "chain", Value: text(d.Chain)},
		{Name: "cause", Value: text(d.Cause)},
		{Name: "committed", Value: moment(d.Time)},
		{Name: "attempts", Value: strconv.Itoa(d.Attempts)},
		{Name: "first", Value: moment(d.First)},
		{Name: "last", Value: moment(d.Last)},
		{Name: "error", Value: d.Error},
	})
}

// text is an id, "" of none.
func text(id eventlog.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
