package outbox_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/atonce"
	"github.com/rollforward/rollforward/outbox"
)

// Lead does at once, where it can, what a Follow does, and enqueues one else.
type Lead struct{ To, Then string }

func (Lead) StepType() string { return "lead" }
func (l Lead) Target() string { return l.To }

type Follow struct{ To string }

func (Follow) StepType() string { return "follow" }
func (f Follow) Target() string { return f.To }

// Long is an event as long as wanted.
type Long struct{ Text string }

func (Long) EventType() string { return "long" }

// leading are handlers of both; do is what a Follow does, and what came says how.
func leading(do func(tx *eventlog.Tx, stream string) error, came func(atOnce bool)) []outbox.Handler {
	return []outbox.Handler{
		outbox.On(func(tx *eventlog.Tx, l Lead) error {
			if err := tx.Append(l.To, Added{1}); err != nil {
				return err
			}
			if b := atonce.Of(tx); b.Take("follow", l.Then) {
				came(true)
				err := b.For(l.Then, func() error { return tx.Savepoint(func() error { return do(tx, l.Then) }) })
				if err == nil {
					b.Did("follow")
					return nil
				}
			}
			came(false)
			return outbox.Enqueue(tx, Follow{l.Then})
		}, nil),
		outbox.On(func(tx *eventlog.Tx, f Follow) error { return do(tx, f.To) }, nil),
	}
}

// TestAtOnceFillsTheCommit: what is done at once may leave no room for the mark of the step
// itself; then it goes apart, and no step is to blame.
func TestAtOnceFillsTheCommit(t *testing.T) {
	t.Parallel()
	l := eventlogtest.Open(t, single)
	large := strings.Repeat("x", eventlog.MaxEvent-100)
	left := 0 // when it is done
	filling := func(tx *eventlog.Tx, stream string) error {
		room := tx.Room(0) - 100 - left
		return tx.Append(stream, Long{large[:min(len(large), room)]}, Long{large[:max(1, room-len(large))]})
	}
	atOnce, apart := 0, 0
	r := runner(l, leading(filling, func(at bool) {
		if left = 10_000; at {
			left = 0
			atOnce++
		} else {
			apart++
		}
	})...)
	r.AtOnce = 8
	enqueue(t, l, Lead{"a/1", "b/1"})
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := added(t, l, "a/1"); len(got) != 1 || len(dead(t, l)) > 0 || len(pending(t, l)) > 0 {
		t.Errorf("added %v, dead %v, pending %v", got, dead(t, l), pending(t, l))
	}
	if atOnce == 0 || apart == 0 {
		t.Errorf("%d times at once, %d times apart: the test shows nothing", atOnce, apart)
	}
}

// TestAtOnceThatExits: a handler that ends its goroutine in what it does at once is tried
// apart from then on, and the step that is to blame is blamed.
func TestAtOnceThatExits(t *testing.T) {
	t.Parallel()
	l := eventlogtest.Open(t, single)
	handlers := leading(func(*eventlog.Tx, string) error { runtime.Goexit(); return nil }, func(bool) {})
	handlers[1].Policy.Attempts = 1
	r := runner(l, handlers...)
	r.AtOnce = 8
	enqueue(t, l, Lead{"a/1", "b/1"})
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := added(t, l, "a/1"); len(got) != 1 {
		t.Errorf("added %v", got)
	}
	if list := dead(t, l); len(list) != 1 || list[0].Type != "follow" {
		t.Errorf("dead %+v", list)
	}
}
