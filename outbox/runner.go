package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/doorbell"
)

// A Runner rolls the steps of a log forward. Any number of them, in any number
// of processes, may run on one log: each step's effect happens once, whoever
// does it. Log and Handlers are required; a Runner must not be copied once used.
type Runner struct {
	Log      *eventlog.Log
	Handlers []Handler
	// Wake brings the messages of the [Notifier]s of other processes, of topic
	// Topic ("" is DefaultTopic). Of the commits of its own Log the runner hears
	// directly; nil is enough where there is no other process.
	Wake  message.Subscriber
	Topic string
	// Sweep is how often the runner looks for steps that nothing told it of, such
	// as after a lost message (1 s). It bounds the latency, and is all that an
	// idle runner costs.
	Sweep time.Duration
	// Batch is how many steps of one target share a commit at most (128).
	Batch int
	// Targets is how many targets are worked on at a time (16).
	Targets int
	// ReadAhead is how many steps of a shard are in hand at most (1024), beyond
	// those that wait for their next attempt, for a handler, or behind others of
	// their target. Of these up to 8192 are remembered; when a shard has more, its
	// later steps wait too.
	ReadAhead int
	// Grace is how long the batches in hand may take once Run's ctx has ended (5 s).
	Grace time.Duration
	// Logger gets failed attempts, dead letters, unknown types and errors of the
	// store. nil is silent.
	Logger *slog.Logger

	maxOpen int // tests

	mu    sync.Mutex
	bells map[*bells]struct{}
}

// DefaultTopic is the topic of notifications when none is named.
const DefaultTopic = doorbell.Topic

// Run rolls steps forward until ctx ends; then it finishes the batches in hand
// and returns nil. It returns an error at once when the Runner is not valid, and
// later only when going on makes no sense: the log was closed or is damaged.
func (r *Runner) Run(ctx context.Context) error {
	e, err := r.engine()
	if err != nil {
		return fmt.Errorf("outbox: run: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bells := newBells(r.Log.Shards())
	list := e.dispatchers()
	var listener sync.WaitGroup
	stop := r.hear(ctx, bells, &listener)
	err = each(list, func(d *dispatcher) error {
		err := d.run(ctx, bells[d.shard])
		if err != nil {
			cancel() // the others finish what they have in hand
			return fmt.Errorf("outbox: run: shard %d: %w", d.shard, err)
		}
		return nil
	})
	cancel()
	stop()
	listener.Wait()
	return err
}

// Drain rolls steps forward until nothing is due: every step is done or dead, or
// waits for its next attempt, or has a type that no handler knows. It returns
// the first error of the store. Tests and short commands use it instead of Run.
func (r *Runner) Drain(ctx context.Context) error {
	e, err := r.engine()
	if err != nil {
		return fmt.Errorf("outbox: drain: %w", err)
	}
	list := e.dispatchers()
	err = drainAll(ctx, list)
	_ = each(list, func(d *dispatcher) error { d.finish(ctx); return nil })
	if err != nil {
		return fmt.Errorf("outbox: drain: %w", err)
	}
	return nil
}

// drainAll goes on until a round over all shards found nothing to do: a step may
// emit steps into shards that were done before.
func drainAll(ctx context.Context, list []*dispatcher) error {
	for before := -1; ; {
		if err := each(list, func(d *dispatcher) error { return d.drain(ctx) }); err != nil {
			return err
		}
		after := 0
		for _, d := range list {
			after += d.rolled
		}
		if after == before {
			return nil
		}
		before = after
	}
}

// each calls fn for all dispatchers, side by side.
func each(list []*dispatcher, fn func(*dispatcher) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, d := range list {
		wg.Go(func() { errs[i] = fn(d) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
