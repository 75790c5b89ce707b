package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A Reactor does something for each event of the log, once: what React writes for
// an event is in one commit with the note that the event was dealt with, however
// many reactors of a Name there are, in however many processes. Between them they
// share the shards of the log by leases, which only save work. Log, Name and
// React are required; a Reactor must not be copied once used.
//
// Events come in the order of their shard, so those of a stream in order; what
// lies in different shards goes side by side. An event whose React fails is
// tried again, with pauses, until it succeeds, and holds up those behind it in
// its shard: Health, Hooks and the log say so. An error that wraps [Abort] skips
// the event, which [Reactor.Skipped] shows from then on.
type Reactor struct {
	Log *eventlog.Log
	// Name is stored: it stands for how far the events have been dealt with.
	// Another name begins anew. No slash, at most 200 bytes.
	Name string
	// React is a function of an Update: it reads and writes through tx, enqueues
	// steps, starts sagas; it may run again and must have no other effects. It
	// should heed tx.Context(). What it writes belongs to the chain of r.
	React func(tx *eventlog.Tx, r eventlog.Record) error
	// Types and Category are what of the log is reacted to, as in an
	// eventlog.Query: nil and "" are everything but system streams. When they
	// change, what was passed over stays passed over.
	Types    []string
	Category string
	// After is where a Name that was never used begins: the zero Position is the
	// first event of the log.
	After eventlog.Position
	// Batch is how many events share a commit at most: 1 to 64 (64).
	Batch int
	// Lease is after what time at most another runner takes over from one that
	// crashed (10 s).
	Lease time.Duration
	// Grace is how long a commit in hand may take once Run's ctx has ended (5 s).
	Grace time.Duration
	// Backoff is the pause before the second attempt (100 ms). It doubles with each
	// one up to MaxBackoff (a minute).
	Backoff, MaxBackoff time.Duration
	// Runner is the name that operators see beside a lease.
	Runner string
	// Logger gets events that fail or are skipped, and errors of the store. nil is
	// silent.
	Logger *slog.Logger
	Hooks  ReactorHooks

	run lease.Sole[reactor]
}

// reactorSweep is how often who follows the shards of a log looks for leases.
const reactorSweep = time.Second

// ReactorHooks observe a Reactor, for metrics. They are called by several
// goroutines and must return quickly.
type ReactorHooks struct {
	// Reacted is called when so many events of a shard were dealt with in a commit,
	// those that were skipped included.
	Reacted func(shard, events int)
	// Failed is called after each attempt that failed.
	Failed func(r eventlog.Record, attempt int, err error)
	// Skipped is called when an event was skipped.
	Skipped func(r eventlog.Record, err error)
}

// Run reacts until ctx ends; then it finishes the commits in hand and returns
// nil. It returns an error at once when the Reactor is not valid or runs
// already, and later only when going on makes no sense: the log was closed or is
// damaged.
//
// It hears of commits as followers of the log do: of those of its own process at
// once, of others' when their doorbell rings or with the log's Options.Poll.
func (r *Reactor) Run(ctx context.Context) error {
	e, err := r.ready()
	if err == nil {
		err = r.run.Begin(e)
	}
	if err != nil {
		return fmt.Errorf("outbox: reactor %s: %w", r.Name, err)
	}
	defer r.run.End()
	crew := &lease.Crew{Keeper: e.keeper, Sweep: reactorSweep, Work: e.work, Trouble: lease.Tell(e.logger)}
	if err := crew.Run(ctx); err != nil {
		return fmt.Errorf("outbox: reactor %s: %w", r.Name, err)
	}
	return nil
}

// Drain reacts until there is nothing left to react to, whoever else runs. It
// returns an error when an event fails, once the other shards had their turn, or the
// store does. Tests and short commands use it instead of Run.
func (r *Reactor) Drain(ctx context.Context) error {
	e, err := r.ready()
	if err == nil {
		err = e.drain(ctx)
	}
	if err != nil {
		return fmt.Errorf("outbox: reactor %s: %w", r.Name, err)
	}
	return nil
}

// Check reports what is wrong with the fields: what Run and Drain would refuse at
// once.
func (r *Reactor) Check() error {
	if _, err := r.ready(); err != nil {
		return fmt.Errorf("outbox: reactor %s: %w", r.Name, err)
	}
	return nil
}

// Health returns nil when a Run is under way and nothing keeps it from going on,
// or else what does: events that fail, and a store that cannot be reached.
func (r *Reactor) Health(context.Context) error {
	e := r.run.Under()
	if e == nil {
		return fmt.Errorf("outbox: reactor %s %w", r.Name, ErrNotRunning)
	}
	if err := e.troubles.Health(e.keeper); err != nil {
		return fmt.Errorf("outbox: reactor %s: %w", r.Name, err)
	}
	return nil
}
