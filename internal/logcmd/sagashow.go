package logcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// shownInstance is what sagas show prints as JSON.
type shownInstance struct {
	instance
	Parked  []step      `json:"parked,omitempty"` // steps of the outbox that it waits for
	History []happening `json:"history"`
}

// happening is something that happened to an instance.
type happening struct {
	Time  time.Time       `json:"time"`
	What  string          `json:"what"`
	N     int             `json:"n,omitzero"` // number of the execution
	Step  string          `json:"step,omitzero"`
	State saga.State      `json:"state"`         // from then on
	Next  string          `json:"next,omitzero"` // step that was under way then
	By    string          `json:"by,omitzero"`
	Why   string          `json:"why,omitzero"`
	Error string          `json:"error,omitzero"`
	Data  json.RawMessage `json:"data,omitempty"` // from then on
}

func newSagaShow(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "show SAGA ID",
		Short: "Show where an instance stands, and what happened to it",
		Long: `Show prints where an instance of a saga stands: the step under way and what it
waits for, what is done and not undone, why it goes back or is parked, its data,
and the chain that its steps belong to. Below it prints its history: each decision
with the state after it, who wanted it and why, also what was asked for and could
not be done. The JSON has, besides, the data wherever it changed.

"parked" names the steps of the outbox that the instance waits for and that no
runner knows: of a saga, or of a step of it, that is not in the program any more.
They run once a sagarunner knows them.`,
		Example: `  eventlog sagas show transfer t1
  eventlog sagas show transfer t1 -o json | jq .data`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeSagas(store, 2, anyInstance),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, id, err := checkInstance(args)
			if err != nil {
				return err
			}
			return look(cmd, store, func(cmd *cobra.Command, l *eventlog.Log) error {
				s, err := readInstance(cmd.Context(), l, name, id, format != cli.Table)
				if err != nil {
					return err
				}
				return s.write(cmd.OutOrStdout(), format)
			})
		},
	}
	format.AddFlag(cmd)
	return cmd
}

// showInstance is saga.Show, but of an instance, too, that only signals came for.
func showInstance(ctx context.Context, l *eventlog.Log, name, id string) (saga.Info, error) {
	i, err := saga.Show(ctx, l, name, id)
	if errors.Is(err, saga.ErrNotFound) && i.State == saga.Awaited {
		err = nil
	}
	return i, err
}

func readInstance(ctx context.Context, l *eventlog.Log, name, id string, withData bool) (*shownInstance, error) {
	i, err := showInstance(ctx, l, name, id)
	if err != nil {
		return nil, err
	}
	s := &shownInstance{instance: newInstance(i, l.Now())}
	var data json.RawMessage
	for e, err := range saga.History(ctx, l, name, id) {
		if err != nil {
			return nil, err
		}
		h := happening{Time: e.Time, What: e.What, N: e.N, Step: e.Step, State: e.After.State, Next: e.After.Step,
			By: e.By, Why: e.Reason, Error: errorText(e.Err)}
		if withData && !bytes.Equal(data, e.After.Data) {
			h.Data = e.After.Data
		}
		data = e.After.Data
		s.History = append(s.History, h)
	}
	s.Parked, err = parkedSteps(ctx, l, name, id)
	return s, err
}

// parkedSteps returns the parked steps of the outbox that are for an instance, or
// that do its steps. There are none as a rule, and then it costs next to nothing.
func parkedSteps(ctx context.Context, l *eventlog.Log, name, id string) (list []step, err error) {
	own := saga.Cancel{Saga: name, ID: id}
	for i, err := range outbox.Parked(ctx, l, strings.TrimSuffix(own.StepType(), "cancel")) {
		if err != nil {
			return nil, err
		}
		var command struct{ ID string } // see "What is stored" of package saga
		if i.Target != own.Target() && (json.Unmarshal(i.Data, &command) != nil || command.ID != id) {
			continue
		}
		s := newStep(i, l.Now())
		s.Data = nil // it is the instance's
		list = append(list, s)
	}
	return list, nil
}

// shownParked is how many of them people are shown.
const shownParked = 5

func (s *shownInstance) fields() []cli.Field {
	list := s.instance.fields()
	for n, p := range s.Parked {
		if n == shownParked {
			list = append(list, cli.Field{Name: "parked", Value: fmt.Sprintf("and %s more", cli.Count(int64(len(s.Parked)-n)))})
			break
		}
		list = append(list, cli.Field{Name: "parked", Value: fmt.Sprintf("step %s for %s: %s", p.ID, p.Target, p.trouble())})
	}
	return list
}

var happeningColumns = []cli.Column[happening]{
	{Head: "TIME", Cell: func(h happening) string { return moment(h.Time) }},
	{Head: "WHAT", Cell: func(h happening) string { return h.What }},
	{Head: "STEP", Cell: func(h happening) string { return h.Step }},
	{Head: "STATE", Cell: func(h happening) string { return string(h.State) }},
	{Head: "NEXT", Cell: func(h happening) string { return h.Next }},
	{Head: "BY", Cell: func(h happening) string { return h.By }},
	{Head: "WHY", Cell: happening.why},
}

// why says why something happened: an error, which may tell the reason, or a reason.
func (h happening) why() string {
	switch {
	case h.Error == "":
		return brief(h.Why)
	case strings.HasSuffix(h.Error, h.Why):
		return brief(h.Error)
	}
	return brief(h.Why) + " [" + brief(h.Error) + "]"
}

func (s *shownInstance) write(w io.Writer, f cli.Format) error {
	if err := cli.WriteObject(w, f, s, s.fields()); err != nil || f != cli.Table {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeAll(w, f, happeningColumns, s.History)
}
