package outbox_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestStopWithUnreadSteps: a step that its tenant had no room for when its target
// was stopped still runs before those that came later.
func TestStopWithUnreadSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		gates := map[string]chan struct{}{"a/1": make(chan struct{}), "a/slow": make(chan struct{})}
		head := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			<-gates[f.To]
			if broken.Load() {
				return errFail
			}
			return tx.Append(f.To, Added{-1})
		}, &outbox.Policy{Ordered: true, Attempts: 1})
		busy := outbox.On(func(tx *eventlog.Tx, a Add2) error { <-gates["a/slow"]; return nil }, nil)
		r := calm(l, head, busy)
		r.ReadAhead, r.Batch = 16, 1 // four of a tenant
		start(t, r)
		enqueue(t, l, Fail{"a/1"})
		for i := range 3 {
			enqueue(t, l, Add2{fmt.Sprintf("a/slow%d", i), 0})
		}
		enqueue(t, l, Add{"a/1", 1}) // no room
		synctest.Wait()
		close(gates["a/1"]) // the target is stopped
		sleep(time.Second)
		enqueue(t, l, Add{"a/1", 2})
		sleep(time.Second)
		broken.Store(false)
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		sleep(time.Minute)
		close(gates["a/slow"])
		sleep(time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 1, 2}) {
			t.Errorf("a/1: %v", got)
		}
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d pending", n)
		}
	})
}

// TestStopWithPriorities: of the steps that go on behind a stop a later one may go
// first, and stop the target again; the others are not forgotten.
func TestStopWithPriorities(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		first := moody(broken, &outbox.Policy{Ordered: true, Attempts: 1})
		urgent := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			if broken.Load() || a.N == 1 {
				return outbox.Abort(errFail)
			}
			return tx.Append(a.To, Added{a.N})
		}, &outbox.Policy{Ordered: true, Priority: 7})
		r := calm(l, first, urgent)
		stop := start(t, r)
		enqueue(t, l, Fail{"a/1"})
		sleep(time.Minute)
		enqueue(t, l, Add{"a/1", 10}, Add{"a/1", 11}, Add2{"a/1", 1}, Add{"a/1", 12})
		sleep(time.Minute) // they are in cells
		broken.Store(false)
		redrive(t, l, outbox.Filter{Type: "test.fail"}, byAnn, 1)
		sleep(time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1}) {
			t.Errorf("before the second stop is lifted: %v", got)
		}
		if n, err := outbox.Discard(t.Context(), l, outbox.Filter{}, byAnn); n != 1 || err != nil {
			t.Errorf("%d discarded: %v", n, err)
		}
		sleep(time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 10, 11, 12}) {
			t.Errorf("a/1: %v", got)
		}
		stop()
	})
}
