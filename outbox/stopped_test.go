package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
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

// TestStopLetsTheCursorPass: a step that stops its target again while it is put into
// the cell where it stands then does not hold the cursor.
func TestStopLetsTheCursorPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, slow{memlog.Open(), 0, time.Second}, single)
		gate := make(chan struct{})
		hangs := outbox.On(func(tx *eventlog.Tx, a Add2) error { <-gate; return nil }, nil)
		fails := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			time.Sleep(2 * time.Second)
			return errFail
		}, &outbox.Policy{Ordered: true, Attempts: 1})
		start(t, calm(l, hangs, fails))
		sleep(10 * time.Second)
		enqueue(t, l, Add2{"slow/1", 0}, Fail{"a/1"})
		sleep(2*time.Second + 500*time.Millisecond) // it is dead, and on its way into a cell
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		sleep(time.Minute)
		close(gate)
		sleep(time.Minute)
		value, _, err := l.ReadCell(t.Context(), "$steps\x01cursor\x010000")
		if want := fmt.Sprintf(`{"at":%d,`, 2+1); err != nil || !strings.HasPrefix(string(value), want) {
			t.Errorf("the cursor is %s, want %s…: %v", value, want, err)
		}
	})
}

// TestBackBehindAStop: a step that fails behind a stop, and whose target is stopped
// again when its time has come, is not forgotten, though it was on its way to
// where it should have waited for its time.
func TestBackBehindAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, slow{memlog.Open(), 0, 5 * time.Second}, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		flaky := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			if broken.Load() {
				return errFail
			}
			return tx.Append(a.To, Added{a.N})
		}, &outbox.Policy{Backoff: 2 * time.Second})
		r := runner(l, moody(broken, &outbox.Policy{Ordered: true, Attempts: 1}), flaky, adding)
		r.Sweep, r.Lease = 30*time.Second, time.Hour
		start(t, r)
		sleep(time.Minute)
		enqueue(t, l, Fail{"a/1"})
		sleep(time.Second)
		enqueue(t, l, Add2{"a/1", 1}, Fail{"a/1"}, Add{"a/1", 2})
		sleep(time.Minute) // all of them are in cells
		if n, err := outbox.Discard(t.Context(), l, outbox.Filter{}, byAnn); n != 1 || err != nil {
			t.Errorf("%d discarded: %v", n, err)
		}
		sleep(time.Minute) // the first one fails, and the second one stops the target again
		broken.Store(false)
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		sleep(5 * time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 1, 2}) && !slices.Equal(got, []int{-1, 2, 1}) {
			t.Errorf("a/1: %v", got)
		}
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d pending", n)
		}
		if due, _, stopped := waiting(t, r); due+stopped != 0 {
			t.Errorf("%d wait, %d are stopped, by the status", due, stopped)
		}
	})
}

// TestStoppedStepsOutOfParkedCells: parked steps that a runner knows which finds their
// target stopped go on with the rest, though they are older than the step that has
// stopped it and that fails again and again meanwhile.
func TestStoppedStepsOutOfParkedCells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, slow{memlog.Open(), 200 * time.Millisecond, 0}, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		ordered := moody(broken, &outbox.Policy{Ordered: true, Attempts: -1, Backoff: 10 * time.Second, MaxBackoff: 10 * time.Second})
		for range 60 {
			enqueue(t, l, named{"test.later", "a/1", nil})
		}
		enqueue(t, l, Fail{"a/1"}, Add{"a/1", 2})
		stop := start(t, runner(l, adding, ordered))
		sleep(15 * time.Second)
		stop()
		r := runner(l, adding, ordered, doing("test.later", 1))
		r.ReadAhead, r.Sweep = 8, 5*time.Second
		start(t, r)
		sleep(5 * time.Minute)
		if got := added(t, l, "a/1"); len(got) > 30 {
			t.Errorf("%d ran though the target is stopped: the test shows nothing", len(got))
		}
		broken.Store(false)
		sleep(time.Minute)
		if got := added(t, l, "a/1"); len(got) != 62 {
			t.Errorf("%d steps ran: %v", len(got), got)
		}
		if due, parked, stopped := waiting(t, r); due+parked+stopped+cellsLeft(t, l) != 0 {
			t.Errorf("%d wait, %d are parked, %d stopped, %d cells", due, parked, stopped, cellsLeft(t, l))
		}
	})
}
