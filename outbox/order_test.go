package outbox_test

import (
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

// TestOrderOverATakeover: the step that stops its target is tried again when its
// runner goes; those behind it are in cells, and it is not. Whoever comes next
// does it before them.
func TestOrderOverATakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		attempts := new(atomic.Int32)
		head := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			switch attempts.Add(1) {
			case 1:
				return errFail
			case 2: // it takes until its runner goes
				<-tx.Context().Done()
				return tx.Context().Err()
			}
			return tx.Append(f.To, Added{-1})
		}, &outbox.Policy{Ordered: true, Backoff: 100 * time.Millisecond})
		stop := start(t, runner(l, head, adding))
		sleep(10 * time.Second)
		enqueue(t, l, Add{"a/2", 0}) // the cursor is saved with it, and not again for a while
		sleep(time.Millisecond)
		enqueue(t, l, Fail{"a/1"}, Add{"a/1", 1}, Add{"a/1", 2})
		sleep(10 * time.Second)
		if n := cellsLeft(t, l); n != 2 || attempts.Load() != 2 {
			t.Fatalf("%d in cells after %d attempts, want 2 and 2: the test shows nothing", n, attempts.Load())
		}
		stop()
		enqueue(t, l, Add{"a/1", 3})
		start(t, runner(l, head, adding))
		eventually(t, l, "a/1", -1, 1, 2, 3)
		if list := pending(t, l); len(list) != 0 {
			t.Errorf("pending %+v", list)
		}
	})
}

// TestOrderOverALostAnswer: the write that put steps behind a stop into cells got
// no answer and is repeated, while the steps have gone on from there and come
// back. None is forgotten.
func TestOrderOverALostAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lose, lost atomic.Bool
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l := over(t, faulty, single)
		attempts := 0
		head := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			if attempts++; attempts%2 == 1 {
				return errFail
			}
			return tx.Append(f.To, Added{-attempts})
		}, &outbox.Policy{Ordered: true, Attempts: 1})
		start(t, runner(l, head, adding))
		enqueue(t, l, Fail{"a/1"}, Add{"a/1", 1})
		sleep(10 * time.Second)
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			switch cursor := "$steps\x01cursor"; {
			case c.Write != nil && lose.Load() && len(c.Write.Batches) == 0 && slices.ContainsFunc(c.Write.Cells, func(op driver.CellOp) bool {
				return strings.HasPrefix(op.Cell.Key, cursor)
			}):
				lose.Store(false)
				lost.Store(true)
				return drivertest.Fault{Kind: drivertest.Lose}
			case c.Method == "Cells" && strings.HasPrefix(c.Key, cursor) && lost.CompareAndSwap(true, false):
				return drivertest.Fault{Kind: drivertest.Fail} // nor does it learn it by looking
			}
			return drivertest.Fault{}
		})
		lose.Store(true)
		enqueue(t, l, Fail{"a/1"}, Add{"a/1", 3})
		for faulty.Injected(drivertest.Fail) == 0 {
			sleep(time.Millisecond)
		}
		redrive(t, l, outbox.Filter{}, byAnn, 1) // goes well; then the next one fails
		sleep(200 * time.Millisecond)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-2, 1}) || len(dead(t, l)) != 1 {
			t.Fatalf("a/1: %v, %d dead: the test shows nothing", got, len(dead(t, l)))
		}
		sleep(10 * time.Second) // the write is repeated
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		eventually(t, l, "a/1", -2, 1, -4, 3)
		if list := pending(t, l); len(list) != 0 {
			t.Errorf("pending %+v", list)
		}
	})
}
