package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// WaitFor returns when the named projections, without names all of them, cover
// p: whatever the log holds up to p has taken effect. It gives a caller its own
// writes back, with the position that Update or Append returned.
//
// It works beside Run, and also in another process than the one that runs the
// projections: it then looks at the sink, a few times a second. It returns an
// error when ctx ends and when a projection has stopped here.
func (r *Runner[T]) WaitFor(ctx context.Context, p eventlog.Position, names ...string) error {
	list, err := r.named(names)
	if err != nil {
		return fmt.Errorf("projection: %w", err)
	}
	for i := range list {
		if err := r.waitFor(ctx, &list[i], p); err != nil {
			return fmt.Errorf("projection: wait for %s: %w", list[i].Name, err)
		}
	}
	return nil
}

const (
	firstLook = 5 * time.Millisecond
	lastLook  = 250 * time.Millisecond
)

func (r *Runner[T]) waitFor(ctx context.Context, p *Projection[T], want eventlog.Position) error {
	for look := firstLook; ; look = min(2*look, lastLook) {
		var covered bool
		var moved <-chan struct{} // never, without a run here
		var err error
		if live := r.live(p.Name); live != nil {
			covered, moved, err = live.covers(want)
			look = firstLook
		} else {
			covered, err = r.covered(ctx, p, want)
		}
		if covered {
			return nil
		}
		if err != nil {
			return err
		}
		if err := await(ctx, moved, look); err != nil {
			return err
		}
	}
}

// covered asks the sink.
func (r *Runner[T]) covered(ctx context.Context, p *Projection[T], want eventlog.Position) (bool, error) {
	state, err := r.Sink.State(ctx, p.Name)
	switch {
	case err != nil:
		return false, err
	case state.Version > p.Version:
		return false, fmt.Errorf("%w: it has %d, the program %d", ErrVersion, state.Version, p.Version)
	}
	return want.IsZero() || state.Version == p.Version && state.Position().Covers(want), nil
}

// await waits for moved, or for look when there is no moved.
func await(ctx context.Context, moved <-chan struct{}, look time.Duration) error {
	var over <-chan time.Time
	if moved == nil {
		timer := time.NewTimer(look)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-moved:
		return nil
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CatchUp applies what the log holds now to the named projections, without names
// to all of them, and returns. What runs already it only waits for.
func (r *Runner[T]) CatchUp(ctx context.Context, names ...string) error {
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
	if err := r.check(); err != nil {
		return err
	}
	target, err := r.Log.Position(ctx)
	if err != nil {
		return err
	}
	mine := r.begin(list)
	if len(mine) == 0 {
		return r.waitAll(ctx, list, target)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stopped error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel() // nobody will bring what is waited for
		stopped = r.run(ctx, mine)
	}()
	err = r.waitAll(ctx, list, target)
	cancel()
	<-done
	if stopped != nil {
		return stopped
	}
	return err
}

func (r *Runner[T]) waitAll(ctx context.Context, list []Projection[T], p eventlog.Position) error {
	var errs []error
	for i := range list {
		errs = append(errs, r.waitFor(ctx, &list[i], p))
	}
	return errors.Join(errs...)
}

// Rebuild empties a projection and applies the log from its first event. Beside
// Run it leaves the work to it and waits. Readers see the read model grow
// meanwhile.
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
	for {
		state, err := r.Sink.State(ctx, name)
		if err != nil {
			return err
		}
		err = r.reset(ctx, p, state.Version)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrMoved) {
			return err
		}
	}
	if live := r.live(name); live != nil {
		live.restart()
	}
	return r.catchUp(ctx, []Projection[T]{*p})
}
