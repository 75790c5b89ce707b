package lease_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A workshop sees who works on what.
type workshop struct {
	mu   sync.Mutex
	busy map[int]string
	seen map[lease.Lease]int
	bad  []string
}

// work is a Work that needs a while to finish when it has to stop.
func (w *workshop) work(name string, finish time.Duration) func(context.Context, lease.Lease) error {
	return func(ctx context.Context, l lease.Lease) error {
		w.mu.Lock()
		if by := w.busy[l.Index]; by != "" {
			w.bad = append(w.bad, name+" beside "+by)
		}
		w.busy[l.Index] = name
		w.seen[l]++
		w.mu.Unlock()
		<-ctx.Done()
		time.Sleep(finish)
		w.mu.Lock()
		w.busy[l.Index] = ""
		w.mu.Unlock()
		return nil
	}
}

func (w *workshop) count() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := make(map[string]int)
	for _, by := range w.busy {
		n[by]++
	}
	return n
}

func newWorkshop() *workshop {
	return &workshop{busy: make(map[int]string), seen: make(map[lease.Lease]int)}
}

func run(t *testing.T, c *lease.Crew) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestCrew: all is worked on, evenly, nothing by two at a time, also while
// runners come and go and finish slowly what they have in hand.
func TestCrew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w := memlog.NewStore(), newWorkshop()
		crew := func(name string) *lease.Crew {
			return &lease.Crew{Keeper: process(t, s, 10), Sweep: time.Minute, Work: w.work(name, 3*time.Second)}
		}
		stopA := run(t, crew("a"))
		synctest.Wait()
		if n := w.count(); n["a"] != 10 {
			t.Errorf("alone: %v", n)
		}
		run(t, crew("b"))
		time.Sleep(2 * duration)
		if n := w.count(); n["a"] != 5 || n["b"] != 5 {
			t.Errorf("two: %v", n)
		}
		stopA()
		time.Sleep(2 * interval)
		if n := w.count(); n["b"] != 10 {
			t.Errorf("one has gone: %v", n)
		}
		if len(w.bad) > 0 {
			t.Errorf("%q", w.bad)
		}
		for l, n := range w.seen {
			if n != 1 {
				t.Errorf("%v was begun %d times", l, n)
			}
		}
	})
}

// TestCrewWithoutStore: when the store does not answer, work ends in time, also
// when its calls hang, which is told once; and it goes on.
func TestCrewWithoutStore(t *testing.T) {
	t.Parallel()
	for _, hang := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			k, f := way(t, memlog.NewStore(), 4)
			w := newWorkshop()
			var told []error
			run(t, &lease.Crew{Keeper: k, Work: w.work("a", 0), Trouble: func(err error) { told = append(told, err) }})
			time.Sleep(duration)
			fault := drivertest.Fault{Kind: drivertest.Fail}
			if hang {
				fault = drivertest.Fault{Before: make(chan struct{})}
			}
			f.Inject(func(drivertest.Call) drivertest.Fault { return fault })
			time.Sleep(2 * duration)
			if n := w.count(); n[""] != 4 {
				t.Errorf("hangs %v: %v", hang, n)
			}
			f.Inject(nil)
			time.Sleep(duration)
			if n := w.count(); n["a"] != 4 {
				t.Errorf("hangs %v, and goes on: %v", hang, n)
			}
			if len(told) != 2 || told[0] == nil || told[1] != nil {
				t.Errorf("told %v", told)
			}
		})
	}
}

// TestCrewFails: a Work that fails ends all others, and Run with its error.
func TestCrewFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, boom := memlog.NewStore(), newWorkshop(), errors.New("boom")
		k := process(t, s, 4)
		c := &lease.Crew{Keeper: k, Work: func(ctx context.Context, l lease.Lease) error {
			if l.Index == 2 {
				time.Sleep(time.Second)
				return boom
			}
			return w.work("a", time.Second)(ctx, l)
		}}
		if err := c.Run(t.Context()); err != boom {
			t.Errorf("Run returned %v", err)
		}
		if n := w.count(); n["a"] != 0 || len(runners(t, k)) != 0 {
			t.Errorf("busy %v, runners %v", n, runners(t, k))
		}
		if err := (&lease.Crew{Keeper: &lease.Keeper{}}).Run(t.Context()); err == nil {
			t.Error("a Keeper without a log runs")
		}
	})
}

func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		long, release := lease.Linger(ctx, time.Minute)
		cancel()
		time.Sleep(59 * time.Second)
		before := long.Err()
		time.Sleep(2 * time.Second)
		if before != nil || long.Err() == nil {
			t.Errorf("%v, then %v", before, long.Err())
		}
		release()
		long, release = lease.Linger(ctx, time.Hour)
		release()
		if long.Err() != context.Canceled {
			t.Errorf("released: %v", long.Err())
		}
	})
}

// TestCrewGivesBackAgain: what could not be given back is given back later.
func TestCrewGivesBackAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w := memlog.NewStore(), newWorkshop()
		k, f := way(t, s, 2)
		run(t, &lease.Crew{Keeper: k, Work: w.work("a", 0)})
		time.Sleep(interval)
		failed := 0
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" && len(c.Write.Cells) == 1 && strings.Contains(c.Write.Cells[0].Cell.Key, "lease") && failed < 3 {
				failed++
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		run(t, &lease.Crew{Keeper: process(t, s, 2), Work: w.work("b", 0)})
		time.Sleep(duration)
		if n := w.count(); n["a"] != 1 || n["b"] != 1 || failed != 3 {
			t.Errorf("%v after %d failures", n, failed)
		}
	})
}
