package saga

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
)

// takes reports whether the signal that the instance waits for has come: what it makes
// of it is in the same transaction.
func (i *instance) takes() bool {
	return i.Cur != nil && i.Cur.Signal != "" && i.Parked == "" && i.hold(i.Cur.Signal) >= 0
}

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
			if w.i.State == "" || w.i.takes() {
				continue
			}
			if st, err := s.status(w.out, nil); !yield(st, err) || err != nil || w.i.State.Ended() {
				return
			}
		}
	}
}
