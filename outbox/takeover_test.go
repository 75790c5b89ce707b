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
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// stuck does Add, but for the target slow/1, which takes until the runner stops.
var stuck = outbox.On(func(tx *eventlog.Tx, a Add) error {
	if a.To == "slow/1" {
		<-tx.Context().Done()
		return tx.Context().Err()
	}
	return tx.Append(a.To, Added{a.N})
}, nil)

// TestCellsBehindTheCursor: a step that is not done holds the cursor, while steps
// behind it are put into cells. Whoever comes next finds them twice, in the log
// and in the cells: each is done once, the numbers stay true, and no tenant loses
// its room.
func TestCellsBehindTheCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		ordered := moody(broken, &outbox.Policy{Ordered: true, Attempts: 1})
		flaky := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			if broken.Load() {
				return errFail
			}
			return tx.Append(a.To, Added{a.N})
		}, &outbox.Policy{Attempts: -1, Backoff: 12 * time.Hour, MaxBackoff: 12 * time.Hour})
		later := outbox.Handler{Type: "test.later", Do: func(tx *eventlog.Tx, s outbox.Raw) error { return tx.Append(s.Stream, Added{1}) }}
		small := func(handlers ...outbox.Handler) *outbox.Runner {
			r := runner(l, handlers...)
			r.ReadAhead, r.Batch, r.Sweep = 16, 4, time.Minute
			return r
		}
		enqueue(t, l, Add{"slow/1", 0}, Fail{"stopped/1"})
		const n = 50
		for i := range n {
			enqueue(t, l, named{"test.later", fmt.Sprintf("p/%d", i), nil}, Add2{fmt.Sprintf("p/%d", i), 2}, Add{"stopped/1", i})
			at(t, l, 24*time.Hour, Add{fmt.Sprintf("p/%d", i), 3})
		}
		for range 3 {
			r := small(stuck, ordered, flaky)
			stop := start(t, r)
			sleep(time.Hour)
			if due, parked, stopped := waiting(t, r); due != 2*n || parked != n || stopped != n+1 {
				t.Errorf("%d wait, %d are parked, %d stopped; want %d, %d, %d", due, parked, stopped, 2*n, n, n+1)
			}
			stop()
		}
		broken.Store(false)
		r := small(adding, ordered, flaky, later)
		stop := start(t, r)
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		sleep(time.Hour)
		want := append([]int{-1, 0}, firstNumbers(n-1)...)
		if got := added(t, l, "stopped/1"); !slices.Equal(got, want) {
			t.Errorf("stopped/1: %v", got)
		}
		if due, parked, stopped := waiting(t, r); due != 2*n || parked != 0 || stopped != 0 {
			t.Errorf("%d wait, %d are parked, %d stopped; want %d, none", due, parked, stopped, 2*n)
		}
		for i := range n { // there is room
			enqueue(t, l, Add{fmt.Sprintf("p/%d", i), 4})
		}
		sleep(time.Minute)
		for i := range n {
			if got := added(t, l, fmt.Sprintf("p/%d", i)); !slices.Equal(got, []int{1, 4}) {
				t.Errorf("p/%d: %v", i, got)
			}
		}
		sleep(24 * time.Hour)
		for i := range n {
			if got := added(t, l, fmt.Sprintf("p/%d", i)); !slices.Equal(got, []int{1, 4, 2, 3}) {
				t.Errorf("p/%d: %v", i, got)
			}
		}
		if due, parked, stopped := waiting(t, r); due+parked+stopped != 0 {
			t.Errorf("%d wait, %d are parked, %d stopped; want none", due, parked, stopped)
		}
		stop()
		if left := cellsLeft(t, l); left != 0 {
			t.Errorf("%d cells are left", left)
		}
	})
}

// TestParkedOutOfAnotherCell: a step that waits in a cell behind the cursor comes
// into the hands of a runner that does not know its type, from the log and then
// from that cell. It is parked once.
func TestParkedOutOfAnotherCell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		enqueue(t, l, Add{"slow/1", 0}) // the cursor stays before it
		stop := start(t, runner(l, stuck, outbox.Handler{Type: "test.later", Do: func(*eventlog.Tx, outbox.Raw) error { return nil }}))
		at(t, l, time.Minute, named{"test.later", "p/1", nil})
		sleep(10 * time.Second)
		stop()
		if n := cellsLeft(t, l); n != 1 {
			t.Fatalf("%d cells, want 1: the test shows nothing", n)
		}
		r := runner(l, stuck)
		start(t, r)
		sleep(5 * time.Minute)
		if due, parked, stopped := waiting(t, r); due != 0 || parked != 1 || stopped != 0 {
			t.Errorf("%d wait, %d are parked, %d stopped; want one that is parked", due, parked, stopped)
		}
		if n := cellsLeft(t, l); n != 1 {
			t.Errorf("%d cells", n)
		}
	})
}

// cellsLeft counts the cells of steps.
func cellsLeft(t testing.TB, l *eventlog.Log) (n int) {
	t.Helper()
	for _, kind := range []string{"due", "parked", "stopped"} {
		for _, err := range l.Cells(t.Context(), "$steps\x01"+kind+"\x01", "$steps\x01"+kind+"\x02", 0) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return n
}

// TestTakeoverBeforeTheFirstLook: a runner that has just got a shard and sleeps
// before it has read the cursor does not move it when it wakes up, though it finds
// the cursor of whoever has taken its place.
func TestTakeoverBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, single)
		const key = "$steps\x01cursor\x010000"
		hung, still := make(chan struct{}), make(chan struct{})
		sleepy := drivertest.NewFaulty(store.Open(), nil)
		other := drivertest.NewFaulty(store.Open(), nil)
		r := runner(over(t, sleepy, single), adding)
		r.Hooks.Sweep = func(outbox.SweepInfo) { <-hung }
		start(t, r)
		synctest.Wait()
		sleepy.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Write != nil && len(c.Write.Cells) == 1 && strings.Contains(c.Write.Cells[0].Cell.Key, "runner") {
				return drivertest.Fault{Before: still} // its heartbeat: it does not know yet
			}
			return drivertest.Fault{}
		})
		start(t, runner(over(t, other, single), adding))
		enqueue(t, l, Add{"a/1", 1})
		sleep(time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) {
			t.Fatalf("after the takeover: %v", got)
		}
		asleep := make(chan struct{})
		other.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Before: asleep} })
		enqueue(t, l, named{"test.unknown", "a/1", 1}) // to be parked
		was, version, err := l.ReadCell(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		close(hung)
		synctest.Wait()
		if now, v, err := l.ReadCell(t.Context(), key); v != version || err != nil {
			t.Errorf("the cursor moved from %s to %s: %v", was, now, err)
		}
		close(still)
		close(asleep)
		sleep(time.Minute)
		if list := pending(t, l); len(list) != 1 || list[0].Parked == "" {
			t.Errorf("pending %+v", list)
		}
	})
}

// TestLostCursor: when all cells are lost, the log says what is to be done.
func TestLostCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, single)
		stop := start(t, runner(openWith(t, store, single), adding))
		for i := range 20 {
			enqueue(t, l, Add{"a/1", i})
			at(t, l, time.Hour, Add{"a/2", i})
		}
		sleep(10 * time.Second)
		stop()
		var drops []driver.CellOp
		for c, err := range l.Cells(t.Context(), "", "", 0) {
			if err != nil {
				t.Fatal(err)
			}
			drops = append(drops, driver.CellOp{Op: driver.Delete, Cell: driver.Cell{Key: c.Key}})
		}
		if _, err := l.SwapCells(t.Context(), drops...); err != nil {
			t.Fatal(err)
		}
		r := runner(openWith(t, store, single), adding)
		start(t, r)
		sleep(10 * time.Second)
		if due, _, _ := waiting(t, r); due != 20 {
			t.Errorf("%d wait, want 20", due)
		}
		sleep(time.Hour)
		if a, b := len(added(t, l, "a/1")), len(added(t, l, "a/2")); a != 20 || b != 20 {
			t.Errorf("%d and %d effects, want 20 each", a, b)
		}
	})
}
