package projector

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/daemon"
	"github.com/rollforward/rollforward/projection/sqlsink"
	"github.com/rollforward/rollforward/prommetrics"
)

func newRun(s *site) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Keep the read models up to date until SIGINT or SIGTERM (the default)",
		Long: `run keeps the read models up to date until SIGINT or SIGTERM. Then it finishes
the transactions in hand, in 8 seconds at most; a second signal ends it at once,
which leaves every read model as it was after some transaction.

Where the processes that write name the same --notify, it hears of their commits
at once, and else when it looks, every second.

With --listen it answers GET /health/live, /health/ready (200, or 503 with the
reasons, such as why a projection has stopped) and /metrics. A projection that
stops leaves the others running; when all have stopped, run ends with status 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.daemon.Run(cmd, func(ctx context.Context, d *daemon.Daemon) error { return s.run(ctx, cmd, d) })
		},
	}
	s.notify.AddFlag(cmd)
	s.daemon.AddFlags(cmd)
	return cmd
}

func (s *site) run(ctx context.Context, cmd *cobra.Command, d *daemon.Daemon) (err error) {
	r, closing, err := s.open(ctx, false, d.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	bells, err := s.notify.Open(cmd, r.Log, d.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bells.Close()) }()
	r.Wake, r.Topic = bells.Wake()
	if err := prommetrics.Projections(d.Metrics, r); err != nil {
		return err
	}
	d.Ready(r.Health)
	d.Logger.Info("projector: running", "projections", s.names())
	defer func() { d.Logger.Info("projector: stopped") }()
	ctx, cancel := context.WithCancel(ctx)
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
