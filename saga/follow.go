package saga

import (
	"context"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
)

// Follow yields where an instance stands after each of its decisions, those of the
// past included, until it has ended. It waits for one that was not started yet, and
// shows the signals that come for it meanwhile ([Awaited]). A [outbox.Runner] must
// run somewhere.
func (s *Saga[S]) Follow(ctx context.Context, l *eventlog.Log, id string) iter.Seq2[Status[S], error] {
	return func(yield func(Status[S], error) bool) {
		var i instance
		out := Info{Saga: s.Name, ID: id}
		for r, err := range l.Read(ctx, eventlog.Query{Stream: streamOf(s.Name, id), Follow: true}) {
			if err == nil {
				err = fold(&i, r)
			}
			if err != nil {
				yield(Status[S]{Info: out}, fmt.Errorf("saga: follow %s/%s: %w", s.Name, id, err))
				return
			}
			out.pass(&r)
			out.fill(&i)
			if st, err := s.status(out, nil); !yield(st, err) || err != nil || i.State.Ended() {
				return
			}
		}
	}
}
