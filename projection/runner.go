package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
)

// A Runner keeps projections up to date with a log. Its fields are set before
// its first use and not changed afterwards. Several runners, in one process or
// in many, may share a sink: each event still takes effect once.
//
// An event that its handler refuses is tried again, Attempts times in all. Then
// its projection stops in all shards with an [*EventError]: nothing behind the
// event takes effect, the other projections go on. What the log or the sink
// refuses (also to a handler, as an error that wraps eventlog.ErrUnavailable) is tried again for as long as Run runs, except that damage in the log
// (eventlog.ErrCorrupt), a closed log, ErrVersion and ErrOtherLog stop a
// projection at once. Status shows all of it.
type Runner[T any] struct {
	Log         *eventlog.Log
	Sink        Sink[T]
	Projections []Projection[T]

	// Wake, with Topic, brings doorbells of other processes' commits (see
	// outbox.Notifier, whose default topic is the default here). They save
	// latency, nothing depends on them. nil: the log's own ways. A runner in a
	// router gets them there (AddTo).
	Wake  message.Subscriber
	Topic string

	// Batch is how many events a transaction of the sink takes at most while the
	// projection is behind (1,000). It takes fewer when that would last long,
	// and never less than a commit of the log.
	Batch int
	// Attempts is how often an event is tried before its projection stops (5).
	Attempts int
	// Backoff is the pause after a first failure (100 ms). It doubles with each
	// further one, up to a hundredfold, and is jittered.
	Backoff time.Duration
	// Grace is how long the transactions in hand may take once the context has
	// ended (5 s). Then they are given up; the next run does what is missing.
	Grace time.Duration
	// Logger gets what an operator should know. nil is silent.
	Logger *slog.Logger

	serving atomic.Bool // Run is under way
	mu      sync.Mutex
	running map[string]*progress // by name
}

// Run keeps all projections up to date until ctx ends. It finishes the
// transactions in hand and returns nil, or the errors of the projections that
// stopped meanwhile. When all of them have stopped, it returns at once.
func (r *Runner[T]) Run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("projection: %w", err)
	}
	if !r.serving.CompareAndSwap(false, true) {
		return errors.New("projection: the runner runs already")
	}
	defer r.serving.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	var around sync.WaitGroup
	defer around.Wait()
	defer cancel()
	tails := newTails(r.Log)
	around.Go(func() { tails.follow(ctx) })
	if r.Wake != nil {
		around.Go(func() { r.listen(ctx) })
	}
	if err := r.serve(ctx, tails); err != nil {
		return fmt.Errorf("projection: %w", err)
	}
	return nil
}

// serve runs all projections. One that has stopped stays claimed until the end,
// so that WaitFor and Status can say why.
func (r *Runner[T]) serve(ctx context.Context, tails *tails) error {
	errs := make([]error, len(r.Projections))
	claimed := make([]bool, len(r.Projections))
	var wg sync.WaitGroup
	for i := range r.Projections {
		p := &r.Projections[i]
		wg.Go(func() {
			var live *progress
			if live, claimed[i] = r.claimSoon(ctx, p.Name); claimed[i] {
				errs[i] = r.keep(ctx, p, tails, live)
			}
		})
	}
	wg.Wait()
	for i := range claimed {
		if claimed[i] {
			r.release(r.Projections[i].Name)
		}
	}
	return errors.Join(errs...)
}

// claimSoon claims a projection as soon as no CatchUp runs it, or not at all when
// ctx ends before.
func (r *Runner[T]) claimSoon(ctx context.Context, name string) (live *progress, mine bool) {
	for {
		live, mine := r.claim(name)
		if mine {
			return live, true
		}
		select {
		case <-live.ended:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// check reports what is wrong with the runner and its projections.
func (r *Runner[T]) check() error {
	switch {
	case r.Log == nil:
		return errors.New("a runner without a Log")
	case r.Sink == nil:
		return errors.New("a runner without a Sink")
	case len(r.Projections) == 0:
		return errors.New("a runner without projections")
	case r.Batch < 0 || r.Attempts < 0 || r.Backoff < 0 || r.Grace < 0:
		return errors.New("Batch, Attempts, Backoff and Grace cannot be negative")
	}
	seen := make(map[string]bool, len(r.Projections))
	for i := range r.Projections {
		p := &r.Projections[i]
		if err := p.check(); err != nil {
			return err
		}
		if seen[p.Name] {
			return fmt.Errorf("two projections are called %s", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// claim makes the caller the one who runs a projection, or returns the progress
// of whoever does.
func (r *Runner[T]) claim(name string) (live *progress, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if live := r.running[name]; live != nil {
		return live, false
	}
	if r.running == nil {
		r.running = make(map[string]*progress)
	}
	live = newProgress(r.Log.Shards())
	r.running[name] = live
	return live, true
}

func (r *Runner[T]) release(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.running[name].ended)
	delete(r.running, name)
}

// live returns the progress of a projection, nil when it does not run here.
func (r *Runner[T]) live(name string) *progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[name]
}

// named returns the projections with these names, all without names.
func (r *Runner[T]) named(names []string) ([]Projection[T], error) {
	if len(names) == 0 {
		return r.Projections, nil
	}
	list := make([]Projection[T], 0, len(names))
	for _, name := range names {
		p, err := r.byName(name)
		if err != nil {
			return nil, err
		}
		list = append(list, *p)
	}
	return list, nil
}

func (r *Runner[T]) byName(name string) (*Projection[T], error) {
	for i := range r.Projections {
		if r.Projections[i].Name == name {
			return &r.Projections[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownProjection, name)
}

func (r *Runner[T]) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}
