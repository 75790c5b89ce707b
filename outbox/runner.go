package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/doorbell"
)

// A Runner rolls the steps of a log forward. Any number of them, in any number
// of processes, may run on one log: they share its shards evenly by leases, and
// each step's effect happens once, whoever does it. All of them should know the
// same step types: a step is done by whoever holds its shard, and parked when
// that one does not know it. Log and Handlers are required; a Runner must not be
// copied once used.
type Runner struct {
	Log      *eventlog.Log
	Handlers []Handler
	// Name is shown to operators; it need not be unique.
	Name string
	// Wake brings the messages of the [Notifier]s of other processes, of topic
	// Topic ("" is DefaultTopic). They wake the followers of Log, too. Of the commits
	// of its own Log the runner hears directly; nil is enough where there is no other
	// process.
	Wake  message.Subscriber
	Topic string
	// Sweep is how often the runner looks for steps that nothing told it of, such
	// as after a lost message (1 s), and sees to its leases. It bounds the latency,
	// and is all that an idle runner costs: a write, and a few reads a shard.
	Sweep time.Duration
	// Lease is the time within which the shards of a runner that crashed are taken
	// over: at least six sweeps (6 s, or six sweeps).
	Lease time.Duration
	// Batch is how many steps share a commit at most (128).
	Batch int
	// Targets is how many batches are under way at a time (16). A batch has the
	// steps of one target, or those of several that have few. As many Effects run
	// beside them.
	Targets int
	// AtOnce is how many further steps of sagas a batch does at once, in its own
	// commit, when nobody else is at work on their streams (8 times Batch where only
	// this process writes to the log, see [eventlog.Log.Exclusive], else none; -1 is
	// none). A saga then goes on without a commit for each of its steps.
	AtOnce int
	// ReadAhead is how many steps of a shard are in hand at most (4096). A tenant
	// (see the package's text) gets a quarter of it.
	ReadAhead int
	// Grace is how long the batches in hand may take once Run's ctx has ended (5 s).
	// Giving the leases back may take a second more.
	Grace time.Duration
	// Logger gets failed attempts, dead letters, unknown types and errors of the
	// store. nil is silent.
	Logger *slog.Logger
	// Hooks observe the runner.
	Hooks Hooks

	mu   sync.Mutex
	runs map[*engine]struct{}
}

// DefaultTopic is the topic of notifications when none is named.
const DefaultTopic = doorbell.Topic

// Check reports what is wrong with the fields: what Run and Drain would refuse at
// once.
func (r *Runner) Check() error {
	if _, err := r.engine(); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Run rolls steps forward until ctx ends; then it finishes the batches in hand
// and returns nil. It returns an error at once when the Runner is not valid, and
// later only when going on makes no sense: the log was closed or is damaged.
func (r *Runner) Run(ctx context.Context) error {
	e, err := r.engine()
	if err != nil {
		return fmt.Errorf("outbox: run: %w", err)
	}
	if err := r.serve(ctx, e); err != nil {
		return fmt.Errorf("outbox: run: %w", err)
	}
	return nil
}

func (r *Runner) serve(ctx context.Context, e *engine) error {
	ctx, cancel := context.WithCancel(ctx)
	var listener sync.WaitGroup
	stop := r.hear(ctx, e, &listener)
	r.note(e, true)
	err := e.run(ctx)
	r.note(e, false)
	close(e.ended)
	stop()
	cancel()
	listener.Wait()
	return err
}

func (r *Runner) note(e *engine, runs bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = make(map[*engine]struct{})
	}
	if runs {
		r.runs[e] = struct{}{}
	} else {
		delete(r.runs, e)
	}
}

// Drain rolls steps forward until nothing is due: every step is done or dead, or
// waits for its time or its next attempt, or has a type that no handler knows. It
// returns the first error of the store. Tests and short commands use it instead
// of Run. What it does in shards that a runner elsewhere holds is done once all
// the same.
func (r *Runner) Drain(ctx context.Context) error {
	e, err := r.engine()
	if err != nil {
		return fmt.Errorf("outbox: drain: %w", err)
	}
	e.draining, e.guests = true, true
	if err = r.serve(ctx, e); err == nil {
		err = e.failed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("outbox: drain: %w", err)
	}
	return nil
}
