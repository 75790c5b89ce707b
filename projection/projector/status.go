package projector

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection"
)

func newStatus(s *site) *cobra.Command {
	format, shards := cli.Table, false
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show how far the read models have come",
		Long: `status shows how far the read models have come: events that took effect, events
of types without a handler ("skipped"), what they are behind the log, and why one
has stopped.

While another process has the log open, only what the read model itself says is
shown: where its checkpoints are, not how far behind that is.`,
		ValidArgsFunction: s.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.known(args); err != nil {
				return err
			}
			list, err := s.status(cmd, args)
			if err != nil {
				return err
			}
			return write(cmd, format, shards, list)
		},
	}
	format.AddFlag(cmd)
	cmd.Flags().BoolVar(&shards, "shards", false, "one line for each shard of the log (json has them always)")
	return cmd
}

// A report is the status of one projection, as it is written.
type report struct {
	Projection string        `json:"projection"`
	Version    int           `json:"version"` // of the program
	Held       int           `json:"held"`    // of the read model
	Handled    uint64        `json:"handled"`
	Skipped    uint64        `json:"skipped"`
	Position   string        `json:"position"`
	Behind     *behind       `json:"behind"`  // null: not known
	Stopped    *stopReport   `json:"stopped"` // null: nothing has stopped it
	Shards     []shardReport `json:"shards"`
}

// A stopReport says why a projection stopped, and at which commit if it was for
// one of its events.
type stopReport struct {
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
	Shard    int       `json:"shard"`
	Revision uint64    `json:"revision,omitempty"`
}

type behind struct {
	Commits uint64  `json:"commits"`
	Events  uint64  `json:"events"`
	Seconds float64 `json:"seconds"`
}

type shardReport struct {
	Shard    int        `json:"shard"`
	Revision uint64     `json:"revision"`
	Handled  uint64     `json:"handled"`
	Skipped  uint64     `json:"skipped"`
	Last     *time.Time `json:"last,omitempty"` // of the last event at the checkpoint
	Behind   *behind    `json:"behind"`
}

// status asks the log and the read model, or only the read model when the log is
// open elsewhere.
func (s *site) status(cmd *cobra.Command, names []string) ([]report, error) {
	m, err := s.open(cmd.Context(), true, warnings(cmd))
	if errors.Is(err, pebblelog.ErrHeld) {
		fmt.Fprintf(cmd.ErrOrStderr(), "projector: what the read models are behind is not known: %v\n", err)
		return s.statusOfSink(cmd, names)
	}
	if err != nil {
		return nil, err
	}
	list, err := m.Status(cmd.Context(), names...)
	if err := errors.Join(err, m.close()); err != nil {
		return nil, err
	}
	var out []report
	for _, st := range list {
		out = append(out, newReport(st, true))
	}
	return out, nil
}

func (s *site) statusOfSink(cmd *cobra.Command, names []string) (out []report, err error) {
	m, err := s.openModel(cmd.Context(), nil, true, warnings(cmd))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	for _, p := range s.projections() {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		state, err := m.state(cmd.Context(), p.name)
		if err != nil {
			return nil, err
		}
		st := projection.Status{Name: p.name, Version: p.version, Held: state.Version}
		if stop := state.Stopped(); stop != nil {
			st.Err = stop
		}
		for _, c := range state.Checkpoints {
			st.Shards = append(st.Shards, projection.ShardStatus{Checkpoint: c})
		}
		out = append(out, newReport(st, false))
	}
	return out, nil
}

// newReport sums a status up. tails says that the log was asked.
func newReport(st projection.Status, tails bool) report {
	out := report{Projection: st.Name, Version: st.Version, Held: st.Held, Position: st.Position().String()}
	if tails {
		out.Behind = new(behind)
	}
	var stop *projection.Stop
	if errors.As(st.Err, &stop) {
		out.Stopped = &stopReport{stop.Reason, stop.Time, stop.Shard, uint64(stop.Revision)}
	}
	for _, sh := range st.Shards {
		r := shardReport{Shard: sh.Shard, Revision: uint64(sh.Revision), Handled: sh.Handled, Skipped: sh.Skipped}
		if sh.Last.Revision > 0 {
			r.Last = &sh.Last.Time
		}
		if tails {
			r.Behind = &behind{sh.Commits, sh.Events, sh.Lag.Seconds()}
			out.Behind.Commits += sh.Commits
			out.Behind.Events += sh.Events
			out.Behind.Seconds = max(out.Behind.Seconds, sh.Lag.Seconds())
		}
		out.Handled += sh.Handled
		out.Skipped += sh.Skipped
		out.Shards = append(out.Shards, r)
	}
	return out
}
