package sagarunner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/sequencer"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/daemon"
	"github.com/rollforward/rollforward/internal/notify"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/prommetrics"
	"github.com/rollforward/rollforward/saga"
)

// A site is where the command works.
type site struct {
	Options
	store  cli.Store
	daemon daemon.Flags
	notify notify.Flag
	tuning tuning
	drain  bool
}

// patience is for how long beyond the grace a stop may take: giving the leases
// back and closing the log need some of it. A handler that never returns, or a
// disk that hangs, does not keep the process; what was not done is done by
// whoever comes next.
const patience = 2 * time.Second

func (s *site) run(cmd *cobra.Command) error {
	if s.tuning.grace > 0 {
		s.daemon.Grace = s.tuning.grace + patience
	}
	return s.daemon.Run(cmd, func(ctx context.Context, d *daemon.Daemon) error { return s.work(ctx, cmd, d) })
}

// work opens the log and rolls its steps forward.
func (s *site) work(ctx context.Context, cmd *cobra.Command, d *daemon.Daemon) (err error) {
	log, err := s.open(ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	bells, err := s.notify.Open(cmd, log, d.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bells.Close()) }()
	bells.Ring()
	r := &outbox.Runner{Log: log, Handlers: s.Handlers, Name: s.Name, Logger: d.Logger}
	r.Wake, r.Topic = bells.Wake()
	if err := errors.Join(s.tuning.apply(r), prommetrics.Outbox(d.Metrics, r)); err != nil {
		return err
	}
	if s.drain {
		d.Ready(func() []error { return reasons(ctx, r, nil) })
		if _, err := log.Fold(ctx); err != nil {
			return err
		}
		return r.Drain(ctx)
	}
	c, err := s.census(d, r)
	if err != nil {
		return err
	}
	seq := &sequencer.Runner{Log: log, Sweep: r.Sweep, Lease: r.Lease, Name: s.Name, Logger: d.Logger}
	if err := seq.Check(); err != nil {
		return cli.Usage("%w", err)
	}
	d.Ready(func() []error { return append(reasons(ctx, r, c), sequencerReasons(ctx, seq)...) })
	d.Logger.Info(s.Name+": running", "handlers", len(s.Handlers), "shards", log.Shards())
	defer func() { d.Logger.Info(s.Name + ": stopped") }()
	if c != nil {
		defer keep(ctx, d.Logger, c.Run, "the sagas are not counted any more")()
	}
	defer keep(ctx, d.Logger, seq.Run, "relaxed appends are not folded any more")()
	return s.both(ctx, r)
}

// both runs the runner and what is to run beside it; when one ends, so does the other.
func (s *site) both(ctx context.Context, r *outbox.Runner) error {
	if s.Beside == nil {
		return r.Run(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		defer stop()
		err := s.Beside(ctx, r.Log)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil // it ended because the command does
		}
		done <- err
	}()
	err := r.Run(ctx)
	stop()
	return errors.Join(err, <-done)
}

// open opens the log, with its metrics beside the hooks that it has.
func (s *site) open(ctx context.Context, d *daemon.Daemon) (*eventlog.Log, error) {
	hooks, err := prommetrics.Log(d.Metrics)
	if err != nil {
		return nil, err
	}
	o := eventlog.Options{}
	if s.Log != nil {
		o = *s.Log
	}
	o.Hooks = joined(o.Hooks, hooks)
	return s.store.Open(ctx, cli.Write, &o)
}

// joined calls a's functions, where there are some, and b's, which has all.
func joined(a, b eventlog.Hooks) eventlog.Hooks {
	out := b
	if a.Group != nil {
		out.Group = func(i eventlog.GroupInfo) { a.Group(i); b.Group(i) }
	}
	if a.Conflict != nil {
		out.Conflict = func() { a.Conflict(); b.Conflict() }
	}
	if a.Snapshot != nil {
		out.Snapshot = func(model string, bytes int) { a.Snapshot(model, bytes); b.Snapshot(model, bytes) }
	}
	if a.Loose != nil {
		out.Loose = func(i eventlog.LooseInfo) { a.Loose(i); b.Loose(i) }
	}
	if a.Fold != nil {
		out.Fold = func(i eventlog.FoldInfo) { a.Fold(i); b.Fold(i) }
	}
	return out
}

// probePatience is how long a probe waits for a runner that is busy: one that
// does not answer is not well.
const probePatience = time.Second

// reasons returns what keeps the runner, and the census if there is one, from working.
func reasons(ctx context.Context, r *outbox.Runner, c *saga.Census) []error {
	list := runnerReasons(ctx, r)
	if c != nil {
		if err := c.Health(ctx); err != nil {
			list = append(list, err)
		}
	}
	return list
}

func runnerReasons(ctx context.Context, r *outbox.Runner) []error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	st, err := r.Status(ctx)
	switch {
	case err != nil:
		return []error{err}
	case !st.Running:
		return []error{outbox.ErrNotRunning}
	}
	return slices.Clone(st.Errs)
}
