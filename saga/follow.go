package saga

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
)

// Follow yields where an instance stands, and then where it stands after each of its
// decisions, until it has ended. It waits for one that was not started yet. A
// [outbox.Runner] must run somewhere.
func (s *Saga[S]) Follow(ctx context.Context, l *eventlog.Log, id string) iter.Seq2[Status[S], error] {
	return func(yield func(Status[S], error) bool) {
		w := watch{out: Info{Saga: s.Name, ID: id}}
		err := w.read(ctx, l, false)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			yield(s.status(w.out, err))
			return
		default:
			if st, err := s.status(w.out, nil); !yield(st, err) || err != nil || w.i.State.Ended() {
				return
			}
		}
		q := eventlog.Query{Stream: streamOf(s.Name, id), From: w.version + 1, Follow: true}
		for r, err := range l.Read(ctx, q) {
			if err == nil {
				err = fold(&w.i, r)
			}
			if err != nil {
				yield(s.status(w.out, fmt.Errorf("saga: follow %s/%s: %w", s.Name, id, err)))
				return
			}
			w.out.pass(&r)
			w.out.fill(&w.i)
			if w.i.State == "" {
				continue // a signal for one that is not started
			}
			if st, err := s.status(w.out, nil); !yield(st, err) || err != nil || w.i.State.Ended() {
				return
			}
		}
	}
}
