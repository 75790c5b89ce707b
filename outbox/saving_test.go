package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

var single = &eventlog.Options{Shards: 1}

// waiting returns what a runner says of what waits in the shards that it holds.
func waiting(t testing.TB, r *outbox.Runner) (due, parked, stopped int) {
	t.Helper()
	s, err := r.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range s.Shards {
		due, parked, stopped = due+i.Waiting, parked+i.Parked, stopped+i.Stopped
	}
	return due, parked, stopped
}

// TestTimersWhileCellsAreSaved: a timer that is put into its cell while the cells
// around it are being read is not missed.
func TestTimersWhileCellsAreSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, slow{memlog.Open(), 200 * time.Millisecond, 50 * time.Millisecond}, single)
		start(t, runner(l, adding))
		sleep(5 * time.Second)
		const timers = 600
		for i := range timers {
			at(t, l, time.Duration(i%40)*60*time.Millisecond, Add{"a/1", i})
			time.Sleep(17 * time.Millisecond)
		}
		sleep(10 * time.Second)
		if got := added(t, l, "a/1"); len(got) != timers {
			t.Errorf("%d of %d timers ran", len(got), timers)
		}
		if left := pending(t, l); len(left) != 0 {
			t.Errorf("%d pending", len(left))
		}
	})
}

// TestOverWhileItsCellIsMoved: a step that is done while it is on its way from one
// cell to another leaves both, once: what waits beside it is still known of.
func TestOverWhileItsCellIsMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, slow{memlog.Open(), 0, 5 * time.Second}, single)
		attempts := 0
		flaky := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			if attempts++; attempts < 4 {
				return errFail
			}
			return tx.Append(f.To, Added{-1})
		}, &outbox.Policy{Backoff: 2 * time.Second})
		r := runner(l, flaky, adding)
		r.Sweep, r.Lease = 10*time.Second, time.Hour
		start(t, r)
		sleep(time.Minute)
		for i := range 5 {
			at(t, l, 11*time.Minute, Add{"a/2", i})
		}
		for i := range 10 {
			attempts = 0
			enqueue(t, l, Fail{fmt.Sprintf("b/%d", i)})
			sleep(time.Minute)
		}
		if due, _, _ := waiting(t, r); due != 5 {
			t.Errorf("5 steps wait, by the status %d", due)
		}
		sleep(20 * time.Minute)
		if got := added(t, l, "a/2"); len(got) != 5 {
			t.Errorf("%v of 5 timers ran", got)
		}
		if due, _, _ := waiting(t, r); due != 0 {
			t.Errorf("none waits, by the status %d", due)
		}
	})
}

// TestSavingWithoutAnAnswer: a write of cells that got no answer, and is done
// later, or never, is not taken for another one: nothing that waits is forgotten,
// and the numbers stay true.
func TestSavingWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]drivertest.Fault{
		"lost": {Kind: drivertest.Lose}, "never": {Kind: drivertest.Drop},
		"at once": {Kind: drivertest.Late, N: 1}, "soon": {Kind: drivertest.Late, N: 2}, "later": {Kind: drivertest.Late, N: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { loseSavings(t, fault) })
		})
	}
}

func loseSavings(t *testing.T, fault drivertest.Fault) {
	var mu sync.Mutex
	lost, rest := 0, 0
	faulty := drivertest.NewFaulty(memlog.Open(), func(c drivertest.Call) drivertest.Fault {
		if c.Write == nil || len(c.Write.Batches) > 0 || !slices.ContainsFunc(c.Write.Cells, func(op driver.CellOp) bool {
			return strings.HasPrefix(op.Cell.Key, "$steps\x01cursor")
		}) {
			return drivertest.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		if rest--; rest >= 0 {
			return drivertest.Fault{}
		}
		lost++
		rest = lost % 3 // sometimes the next one is lost as well
		return fault
	})
	l := over(t, faulty, single)
	broken := new(atomic.Bool)
	broken.Store(true)
	r := runner(l, moody(broken, &outbox.Policy{Backoff: 300 * time.Millisecond, MaxBackoff: 3 * time.Second, Attempts: -1}), adding)
	start(t, r)
	sleep(5 * time.Second)
	at(t, l, 2*time.Minute, Add{"a/1", 1})
	for i := range 100 {
		enqueue(t, l, Fail{fmt.Sprintf("b/%d", i%7)}, named{"test.unknown", "a/1", i})
		at(t, l, time.Duration(i*37%5000)*time.Millisecond, Add{"a/2", i})
		broken.Store(i%10 < 8)
		sleep(173 * time.Millisecond)
	}
	broken.Store(false)
	sleep(time.Minute)
	if got := added(t, l, "a/2"); len(got) != 100 {
		t.Errorf("%d timers of 100 ran", len(got))
	}
	if due, parked, _ := waiting(t, r); due != 1 || parked != 100 {
		t.Errorf("%d wait, %d are parked; by the status", due, parked)
	}
	if list := pending(t, l); len(list) != 101 {
		t.Errorf("%d pending", len(list))
	}
	sleep(2 * time.Minute)
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) {
		t.Errorf("a/1: %v", got)
	}
	if lost < 10 {
		t.Errorf("only %d answers were lost", lost)
	}
}

// TestStopWhileCellsAreSaved: steps that come while their target goes on again
// are not forgotten, and stay in order.
func TestStopWhileCellsAreSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, slow{memlog.Open(), 120 * time.Millisecond, 70 * time.Millisecond}, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		r := runner(l, moody(broken, &outbox.Policy{Ordered: true, Attempts: 1}), adding)
		r.Batch = 3
		start(t, r)
		sleep(5 * time.Second)
		want := []int{}
		for round := range 10 {
			broken.Store(true)
			enqueue(t, l, Fail{"a/1"})
			want = append(want, -1)
			for i := range 40 {
				if i == 10 {
					broken.Store(false)
					redrive(t, l, outbox.Filter{}, byAnn, 1)
				}
				enqueue(t, l, Add{"a/1", 100*round + i})
				want = append(want, 100*round+i)
				sleep(time.Duration(37*(round+1)) * time.Millisecond)
			}
			sleep(5 * time.Second)
		}
		if got := added(t, l, "a/1"); !slices.Equal(got, want) {
			t.Errorf("%d of %d, in order: %v", len(got), len(want), slices.IsSorted(got))
		}
		if _, _, stopped := waiting(t, r); stopped != 0 {
			t.Errorf("%d are stopped, by the status", stopped)
		}
	})
}
