package projector

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func newRun(s *site) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Keep the read models up to date until SIGINT or SIGTERM (the default)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd)
		},
	}
}

func (s *site) run(cmd *cobra.Command) (err error) {
	r, closing, err := s.open(cmd, false, slog.LevelInfo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	ctx, cancel := context.WithCancel(cmd.Context())
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.tell(ctx, cmd, r)
	}()
	err = r.Run(ctx)
	cancel()
	<-told
	return err
}

// tell says how the projections catch up, and when they have.
func (s *site) tell(ctx context.Context, cmd *cobra.Command, r *sqlsink.Runner) {
	target, err := r.Log.Position(ctx)
	if err != nil {
		return // Run says so
	}
	p := cli.StartProgress(cmd.ErrOrStderr(), "catch up", "commits")
	defer p.Stop()
	stop := watch(ctx, r, p, target, s.names()...)
	defer stop()
	if r.WaitFor(ctx, target) == nil {
		stop()
		p.Stop()
		r.Logger.Info("projector: up to date", "position", target.String())
	}
}
