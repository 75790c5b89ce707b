package projection

import (
	"context"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
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
		if live := r.live(p.Name); live != nil {
			if covered, err := live.wait(ctx, want); covered || err != nil {
				return err
			}
			look = firstLook
		}
		if covered, err := r.covered(ctx, p, want); covered || err != nil {
			return err
		}
		if !jitter.Pause(ctx, look) {
			return ctx.Err()
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
