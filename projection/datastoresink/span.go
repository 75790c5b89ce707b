package datastoresink

import (
	"context"
	"sync/atomic"
	"time"
)

// A span is the context of a transaction, which the client library uses for all its
// calls. A rollback needs another one: the end of the first is often what leads to it.
type span struct {
	now atomic.Pointer[context.Context]
}

func newSpan(ctx context.Context) *span {
	s := new(span)
	s.now.Store(&ctx)
	return s
}

// lastWords is how long a rollback may take.
const lastWords = 2 * time.Second

// last makes s go on for d, whatever its context was.
func (s *span) last(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(*s.now.Load()), d)
	s.now.Store(&ctx)
	return ctx, cancel
}

func (s *span) Deadline() (time.Time, bool) { return (*s.now.Load()).Deadline() }
func (s *span) Done() <-chan struct{}       { return (*s.now.Load()).Done() }
func (s *span) Err() error                  { return (*s.now.Load()).Err() }
func (s *span) Value(key any) any           { return (*s.now.Load()).Value(key) }
