// Package daemon is what commands have in common that run until they are told to
// stop: flags, structured logs, an HTTP side for health and metrics, and an end
// in good time.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
)

// A Daemon is what the work of a command gets.
type Daemon struct {
	Logger *slog.Logger
	// Metrics are served. Those of Go and of the process are there.
	Metrics *prometheus.Registry
	// Addr is where the HTTP side listens, "" when it does not.
	Addr string

	side  *side           // nil: none
	ctx   context.Context // ends when the daemon has to stop
	ready atomic.Pointer[func() []error]
}

// Ready says from now on what keeps the daemon from being ready: nothing when
// source returns nothing. Before the first Ready the daemon is starting. source
// is called for each probe and must return quickly.
func (d *Daemon) Ready(source func() []error) { d.ready.Store(&source) }

var (
	errStarting = errors.New("starting")
	errStopping = errors.New("shutting down")
)

// reasons returns what keeps the daemon from being ready.
func (d *Daemon) reasons() []error {
	source := d.ready.Load()
	switch {
	case d.ctx.Err() != nil:
		return []error{errStopping}
	case source == nil:
		return []error{errStarting}
	}
	return (*source)()
}

const (
	// workGrace and sideGrace together are less than the 8 s that a command may take
	// to stop; Cloud Run kills it after 10.
	workGrace = 7 * time.Second
	sideGrace = 500 * time.Millisecond
)

// Run runs work until it returns. When the command's context ends, so does that
// of work, which then has Grace to finish what it has in hand; after that Run
// returns an error and leaves it, for the process to end. The HTTP side is there
// from before work begins until after it has returned; without it, when it cannot
// listen, work does not begin.
func (f *Flags) Run(cmd *cobra.Command, work func(ctx context.Context, d *Daemon) error) error {
	logger := f.logging.New(cmd.ErrOrStderr())
	return f.logging.Failed(logger, cmd.Root().Name(), f.run(cmd, logger, work))
}

func (f *Flags) run(cmd *cobra.Command, logger *slog.Logger, work func(ctx context.Context, d *Daemon) error) (err error) {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	d := &Daemon{Logger: logger, Metrics: newRegistry(), ctx: ctx}
	if d.side, err = f.serve(cmd, d); err != nil {
		return err
	}
	lost := d.side.start(cancel)
	stopping := func() { logger.Info(cmd.Root().Name() + ": stopping") }
	err = within(ctx, cmp.Or(f.Grace, workGrace), stopping, func() error { return work(ctx, d) })
	cancel()
	d.side.stop()
	return errors.Join(err, lost())
}

// within runs work and waits for it, no longer than grace after the end of ctx,
// which it tells.
func within(ctx context.Context, grace time.Duration, stopping func(), work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("what was in hand is not finished after %v; left as it is", grace)
	}
}

func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector())
	return reg
}
