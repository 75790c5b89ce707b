// Package sequencer gives relaxed appends their places: see
// [eventlog.AppendOptions].
//
// A relaxed append is durable when it returns, and nobody sees it before it is
// folded into its shard. Where many processes append, one sequencer a shard does
// that in batches, at once. Without any, each log that appended folds for itself
// what lies for a second (eventlog.Options.FoldAfter): nothing is lost, but it
// takes longer and the processes get in each other's way. sagarunner runs one.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A Runner folds the relaxed appends of a log. However many run on a log, in however
// many processes, they share its shards by leases. A lease saves work and no more:
// an append is folded once, also by two who both believe to hold its shard. Log is
// required; a Runner must not be copied once used.
//
// Appends of its own Log wake it; those of other processes it finds within a Sweep,
// or when Wake is called. As long as nothing is loose it holds no leases, and costs
// one small reading a Sweep.
type Runner struct {
	Log *eventlog.Log
	// Sweep is how often it looks for appends of other processes (1 s). Where it
	// found some it looks again soon, and less and less often.
	Sweep time.Duration
	// Lease is after what time at most another process takes over from one that
	// crashed (10 s). It is the same for all of a log.
	Lease time.Duration
	// Name is what operators see beside a lease.
	Name string
	// Logger gets errors of the store. nil is silent.
	Logger *slog.Logger

	run lease.Sole[engine]
}

// ErrNotRunning: no Run is under way.
var ErrNotRunning = errors.New("does not run")

// Run folds until ctx ends, and returns nil. It returns an error at once when the
// Runner is not valid or runs already, and later only when going on makes no sense:
// the log was closed, or is of a newer version.
func (r *Runner) Run(ctx context.Context) error {
	e, err := r.ready()
	if err == nil {
		err = r.run.Begin(e)
	}
	if err == nil {
		defer r.run.End()
		err = e.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("sequencer: %w", err)
	}
	return nil
}

// Check reports what is wrong with the fields: what Run would refuse at once.
func (r *Runner) Check() error {
	if _, err := r.ready(); err != nil {
		return fmt.Errorf("sequencer: %w", err)
	}
	return nil
}

// Wake makes a Run look at a shard at once, because another process appended there.
// It is a doorbell: a wrong or lost call does no harm.
func (r *Runner) Wake(shard int) {
	if e := r.run.Under(); e != nil && shard >= 0 && shard < len(e.bells) {
		e.ring(shard)
	}
}

// Health returns nil when a Run is under way and nothing keeps it from folding, or
// else what does: a store that cannot be reached, appends that cannot be read.
func (r *Runner) Health(context.Context) error {
	e := r.run.Under()
	if e == nil {
		return fmt.Errorf("sequencer: it %w", ErrNotRunning)
	}
	if err := e.troubles.Health(e.keeper); err != nil {
		return fmt.Errorf("sequencer: %w", err)
	}
	return nil
}

const (
	defaultSweep = time.Second
	maxSweep     = time.Hour
	prefix       = "$fold" // of the cells of leases
)

// ready fills the defaults in and refuses what makes no sense.
func (r *Runner) ready() (*engine, error) {
	if r.Log == nil {
		return nil, errors.New("a Runner needs a Log")
	}
	if r.Sweep < 0 || r.Sweep > maxSweep {
		return nil, fmt.Errorf("option Sweep is %v: up to %v", r.Sweep, maxSweep)
	}
	e := &engine{log: r.Log, sweep: r.Sweep, logger: r.Logger, any: make(chan struct{}, 1), bells: make([]chan struct{}, r.Log.Shards())}
	if e.sweep == 0 {
		e.sweep = defaultSweep
	}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	for s := range e.bells {
		e.bells[s] = make(chan struct{}, 1)
	}
	e.keeper = &lease.Keeper{Log: r.Log, Prefix: prefix, Count: r.Log.Shards(), Duration: r.Lease, Name: r.Name}
	return e, e.keeper.Check()
}
