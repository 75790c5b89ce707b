package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rollforward/rollforward/eventlog"
)

// CatchUp applies what the log holds now to the named projections, without names
// to all of them, and returns. What runs already it only waits for.
func (r *Runner[T]) CatchUp(ctx context.Context, names ...string) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("projection: catch up: %w", err)
	}
	list, err := r.named(names)
	if err == nil {
		err = r.catchUp(ctx, list)
	}
	if err != nil {
		return fmt.Errorf("projection: catch up: %w", err)
	}
	return nil
}

func (r *Runner[T]) catchUp(ctx context.Context, list []Projection[T]) error {
	target, err := r.Log.Position(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { errs[i] = r.advance(ctx, &list[i], target) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// advance brings a projection to target, or waits for whoever does.
func (r *Runner[T]) advance(ctx context.Context, p *Projection[T], target eventlog.Position) error {
	for {
		live, mine := r.claim(p.Name)
		if mine {
			defer r.release(p.Name)
			return r.keepTo(ctx, p, target, live)
		}
		if covered, err := live.wait(ctx, target); covered || err != nil {
			return err
		}
	}
}

// keepTo runs a projection until it covers target.
func (r *Runner[T]) keepTo(ctx context.Context, p *Projection[T], target eventlog.Position, live *progress) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- r.keep(work, p, upTo(r.Log, target), live) }()
	_, err := live.wait(ctx, target)
	cancel()
	if reason := <-stopped; reason != nil {
		return reason
	}
	return err
}

// Rebuild empties a projection and applies the log from its first event. Beside
// Run it leaves the work to it and waits; one that has stopped there is left as
// it is until Run ends. Readers see the read model grow meanwhile.
func (r *Runner[T]) Rebuild(ctx context.Context, name string) error {
	if err := r.rebuild(ctx, name); err != nil {
		return fmt.Errorf("projection: rebuild %s: %w", name, err)
	}
	return nil
}

func (r *Runner[T]) rebuild(ctx context.Context, name string) error {
	if err := r.check(); err != nil {
		return err
	}
	p, err := r.byName(name)
	if err != nil {
		return err
	}
	if p.Reset == nil {
		return errNoReset
	}
	live := r.live(name)
	if live != nil {
		if _, _, stopped := live.report(); stopped != nil {
			return stopped
		}
	}
	for err = ErrMoved; errors.Is(err, ErrMoved); {
		var state State
		if state, err = r.Sink.State(ctx, name); err == nil {
			err = r.reset(ctx, p, state.Version)
		}
	}
	if err != nil {
		return err
	}
	if live != nil {
		live.restart()
	}
	return r.catchUp(ctx, []Projection[T]{*p})
}
