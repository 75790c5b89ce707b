package projector

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

func newRebuild(s *site) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "rebuild NAME",
		Short: "Empty a read model and apply the log from its first event",
		Long: `rebuild empties the read model of one projection and applies the log from its
first event to its last one. Readers see it grow meanwhile. When it is
interrupted, "projector" goes on from where it stopped.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: s.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.known(args); err != nil {
				return err
			}
			return s.rebuild(cmd, args[0], format)
		},
	}
	format.AddFlag(cmd)
	return cmd
}

// rebuilt is the result of a rebuild.
type rebuilt struct {
	Projection string  `json:"projection"`
	Version    int     `json:"version"`
	Handled    uint64  `json:"handled"`
	Skipped    uint64  `json:"skipped"`
	Position   string  `json:"position"`
	Seconds    float64 `json:"seconds"`
	EventsPerS float64 `json:"events_per_s"`
}

func (s *site) rebuild(cmd *cobra.Command, name string, format cli.Format) (err error) {
	m, err := s.open(cmd.Context(), false, warnings(cmd))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	target, err := m.log.Position(cmd.Context())
	if err != nil {
		return err
	}
	p := cli.StartProgress(cmd.ErrOrStderr(), "rebuild "+name, "commits")
	stop := watch(cmd.Context(), m, p, target, name)
	begin := time.Now()
	err = m.Rebuild(cmd.Context(), name)
	took := time.Since(begin)
	stop()
	p.Stop()
	if err != nil {
		return err
	}
	m.clear(cmd.Context())
	out, err := result(cmd, m, name, took)
	if err != nil {
		return err
	}
	return cli.WriteObject(cmd.OutOrStdout(), format, out, []cli.Field{
		{Name: "projection", Value: out.Projection},
		{Name: "version", Value: fmt.Sprint(out.Version)},
		{Name: "events handled", Value: cli.Count(int64(out.Handled))},
		{Name: "events skipped", Value: cli.Count(int64(out.Skipped))},
		{Name: "position", Value: out.Position},
		{Name: "took", Value: took.Round(time.Millisecond).String()},
		{Name: "events/s", Value: cli.Count(int64(out.EventsPerS))},
	})
}

func result(cmd *cobra.Command, m *model, name string, took time.Duration) (rebuilt, error) {
	state, err := m.state(cmd.Context(), name)
	if err != nil {
		return rebuilt{}, err
	}
	out := rebuilt{Projection: name, Version: state.Version, Position: state.Position().String(), Seconds: took.Seconds()}
	for _, c := range state.Checkpoints {
		out.Handled += c.Handled
		out.Skipped += c.Skipped
	}
	if took > 0 {
		out.EventsPerS = float64(out.Handled+out.Skipped) / took.Seconds()
	}
	return out, nil
}
