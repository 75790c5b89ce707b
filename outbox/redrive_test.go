package outbox_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestRedriveOfAnotherLetter: a dead letter of a target that another one has
// stopped is not lost when it is redriven: it runs when the target goes on.
func TestRedriveOfAnotherLetter(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := eventlogtest.New(t)
			broken := new(atomic.Bool)
			broken.Store(true)
			first := outbox.On(func(tx *eventlog.Tx, a Add2) error {
				if broken.Load() {
					return outbox.Abort(errFail)
				}
				return tx.Append(a.To, Added{a.N})
			}, nil)
			r := calm(l, first, moody(broken, &outbox.Policy{Ordered: true, Attempts: 1}))
			stop := start(t, r)
			enqueue(t, l, Add2{"a/1", 7}) // dead, and stops nothing
			sleep(time.Minute)
			enqueue(t, l, Fail{"a/1"}) // dead, and stops its target
			enqueue(t, l, Add{"a/1", 1})
			sleep(time.Minute)
			if restart {
				stop()
				start(t, r)
				sleep(time.Minute)
			}
			broken.Store(false)
			redrive(t, l, outbox.Filter{Type: "test.add2"}, byAnn, 1)
			sleep(time.Minute)
			if got := added(t, l, "a/1"); len(got) != 0 {
				t.Errorf("restart %v: a stopped target went on: %v", restart, got)
			}
			redrive(t, l, outbox.Filter{Type: "test.fail"}, byAnn, 1)
			sleep(time.Minute)
			if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 1, 7}) {
				t.Errorf("restart %v: %v", restart, got)
			}
			if n, m := len(pending(t, l)), len(dead(t, l)); n+m != 0 {
				t.Errorf("restart %v: %d pending, %d dead", restart, n, m)
			}
		})
	}
}

// TestRedrivenOrderedIsPendingOnce: the note that tells of a decision is no second
// step.
func TestRedrivenOrderedIsPendingOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		stop := start(t, calm(l, moody(broken, &outbox.Policy{Ordered: true, Attempts: 1})))
		enqueue(t, l, Fail{"a/1"}, Add{"a/1", 1})
		sleep(time.Minute)
		stop()
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		if list := pending(t, l); len(list) != 2 {
			t.Errorf("after the decision: %d pending, want 2", len(list))
		}
		stop = start(t, runner(l)) // nobody here can do it
		sleep(time.Minute)
		stop()
		if list := pending(t, l); len(list) != 2 {
			t.Errorf("after a runner that does not know it: %d pending, want 2", len(list))
		}
	})
}
