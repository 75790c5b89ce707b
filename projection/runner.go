package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
// refuses is tried again for as long as Run runs, except that damage in the log
// (eventlog.ErrCorrupt), a closed log, ErrVersion and ErrOtherLog stop a projection at
// once. Status shows all of it while it lasts.
type Runner[T any] struct {
	Log         *eventlog.Log
	Sink        Sink[T]
	Projections []Projection[T]

	// Wake, with Topic, brings doorbells of other processes' commits (see outbox.Notifier).
	// They save latency, nothing depends on them. nil: the log's own ways.
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
	// Logger gets what an operator should know. nil is silent.
	Logger *slog.Logger

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
	mine := r.begin(r.Projections)
	if len(mine) < len(r.Projections) {
		r.end(mine)
		return errors.New("projection: the runner runs already")
	}
	if err := r.run(ctx, mine); err != nil {
		return fmt.Errorf("projection: %w", err)
	}
	return nil
}

// run does the work between begin and end.
func (r *Runner[T]) run(ctx context.Context, list []Projection[T]) error {
	defer r.end(list)
	ctx, cancel := context.WithCancel(ctx)
	var around sync.WaitGroup
	defer around.Wait()
	defer cancel()
	tails := newTails(r.Log)
	around.Go(func() { tails.follow(ctx) })
	if r.Wake != nil {
		around.Go(func() { r.listen(ctx) })
	}
	errs := make([]error, len(list))
	var projections sync.WaitGroup
	for i := range list {
		projections.Go(func() { errs[i] = r.keep(ctx, &list[i], tails) })
	}
	projections.Wait()
	return errors.Join(errs...)
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
	case r.Batch < 0 || r.Attempts < 0 || r.Backoff < 0:
		return errors.New("Batch, Attempts and Backoff cannot be negative")
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

// begin returns those of list that do not run yet, and makes room for what
// WaitFor and Status look at. The caller runs and ends them.
func (r *Runner[T]) begin(list []Projection[T]) []Projection[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = make(map[string]*progress)
	}
	var mine []Projection[T]
	for _, p := range list {
		if r.running[p.Name] == nil {
			r.running[p.Name] = newProgress(r.Log.Shards())
			mine = append(mine, p)
		}
	}
	return mine
}

func (r *Runner[T]) end(list []Projection[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range list {
		r.running[p.Name].close()
		delete(r.running, p.Name)
	}
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
