package projector

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/daemon"
)

func newRun(s *site) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Keep the read models up to date until SIGINT or SIGTERM (the default)",
		Long: `run keeps the read models up to date until SIGINT or SIGTERM. Then it finishes
the transactions in hand, in 8 seconds at most; a second signal ends it at once,
which leaves every read model as it was after some transaction.

Where the processes that write name the same --notify, it hears of their commits
at once, and else when it looks, every second, or as --poll says.

With --listen it answers GET /health/live, /health/ready (200, or 503 with the
reasons, such as why a projection has stopped) and /metrics. A projection that
stops leaves the others running; when all have stopped, run ends with status 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.daemon.Run(cmd, func(ctx context.Context, d *daemon.Daemon) error { return s.run(ctx, cmd, d) })
		},
	}
	s.addRunFlags(cmd)
	return cmd
}

func (s *site) run(ctx context.Context, cmd *cobra.Command, d *daemon.Daemon) (err error) {
	m, err := s.open(ctx, false, d.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	bells, err := s.notify.Open(cmd, m.log, d.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bells.Close()) }()
	m.hear(bells.Wake())
	if err := m.measure(d.Metrics); err != nil {
		return err
	}
	d.Ready(m.Health)
	d.Logger.Info("projector: running", "projections", s.names())
	defer func() { d.Logger.Info("projector: stopped") }()
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.tell(ctx, cmd, m)
	}()
	err = m.Run(ctx)
	cancel()
	<-told
	return err
}

// tell says how the projections catch up, and when they have. Then it clears away what is
// not needed any more.
func (s *site) tell(ctx context.Context, cmd *cobra.Command, m *model) {
	target, err := m.log.Position(ctx)
	if err != nil {
		return // Run says so
	}
	p := cli.StartProgress(cmd.ErrOrStderr(), "catch up", "commits")
	defer p.Stop()
	stop := watch(ctx, m, p, target, s.names()...)
	defer stop()
	if m.WaitFor(ctx, target) == nil {
		stop()
		p.Stop()
		m.logger.Info("projector: up to date", "position", target.String())
		m.clear(ctx)
	}
}
