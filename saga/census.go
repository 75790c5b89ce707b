package saga

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
	"github.com/rollforward/rollforward/outbox"
)

// A Census counts the instances that are in each state now, by saga and shard: for
// metrics, which ask for it again and again. However many of them run on a log, in
// however many processes, they share its shards by leases, and each shard is counted
// and reported by the one that holds it: so sums over all of them are right. Log is
// required; a Census must not be copied once used.
//
// It reads the commits of a shard once, at most a Sweep after they were made, and
// keeps what it counted in a cell of the log. A restart, or whoever takes over, goes on
// from there; where the cell is gone the shard is counted again from its beginning. An
// idle log costs nothing but the leases.
type Census struct {
	Log *eventlog.Log
	// Sweep is how long commits wait to be counted, and the least time between two
	// writes of a shard's counts (1 s).
	Sweep time.Duration
	// Lease is after what time at most another process takes over from one that
	// crashed (10 s). It is the same for all of a log.
	Lease time.Duration
	// Runner is the name that operators see beside a lease.
	Runner string
	// Logger gets errors of the store. nil is silent.
	Logger *slog.Logger

	run lease.Sole[census]
}

// Run counts until ctx ends; then it writes down how far it came and returns nil. It
// returns an error at once when the Census is not valid or runs already, and later
// only when going on makes no sense: the log was closed or is damaged.
func (c *Census) Run(ctx context.Context) error {
	e, err := c.ready()
	if err == nil {
		err = c.run.Begin(e)
	}
	if err != nil {
		return fmt.Errorf("saga: census: %w", err)
	}
	defer c.run.End()
	crew := &lease.Crew{Keeper: e.keeper, Sweep: e.sweep, Work: e.work, Trouble: lease.Tell(e.logger)}
	if err := crew.Run(ctx); err != nil {
		return fmt.Errorf("saga: census: %w", err)
	}
	return nil
}

// Check reports what is wrong with the fields: what Run would refuse at once.
func (c *Census) Check() error {
	if _, err := c.ready(); err != nil {
		return fmt.Errorf("saga: census: %w", err)
	}
	return nil
}

// Health returns nil when a Run is under way and nothing keeps it from going on, or
// else what does: a store that cannot be reached.
func (c *Census) Health(context.Context) error {
	e := c.run.Under()
	if e == nil {
		return fmt.Errorf("saga: the census %w", outbox.ErrNotRunning)
	}
	if err := e.troubles.Health(e.keeper); err != nil {
		return fmt.Errorf("saga: census: %w", err)
	}
	return nil
}

// A census is a Census made ready: its options filled in.
type census struct {
	log      *eventlog.Log
	sweep    time.Duration
	logger   *slog.Logger
	keeper   *lease.Keeper
	cursors  *lease.Cursors[censusCell]
	troubles lease.Troubles
	turn     chan struct{} // has room for one shard: to count a whole log must not keep all cores busy
	counted
}

// ready fills the defaults in and refuses what makes no sense.
func (c *Census) ready() (*census, error) {
	if c.Log == nil {
		return nil, errors.New("a Census needs a Log")
	}
	if c.Sweep < 0 || c.Sweep > time.Hour {
		return nil, fmt.Errorf("option Sweep is %v: up to %v", c.Sweep, time.Hour)
	}
	e := &census{log: c.Log, sweep: c.Sweep, logger: c.Logger, cursors: censusCells(c.Log), turn: make(chan struct{}, 1)}
	if e.sweep == 0 {
		e.sweep = time.Second
	}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	e.keeper = &lease.Keeper{Log: c.Log, Prefix: censusPrefix, Count: c.Log.Shards(), Duration: c.Lease, Name: c.Runner, Fence: e.cursors.Fence}
	return e, e.keeper.Check()
}

// work is the work on a shard that is held under a lease.
func (e *census) work(ctx context.Context, l lease.Lease) error {
	return (&censusShard{census: e, lease: l, shard: l.Index}).run(ctx)
}
