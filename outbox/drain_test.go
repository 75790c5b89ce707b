package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

const cursor0 = "$steps\x01cursor\x010000"

// TestDrainOfStops: a drain goes on with all targets whose stop was lifted, also
// when nothing else says so any more: the runner that had read of it has crashed.
func TestDrainOfStops(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"with the lease": false, "beside a runner that sleeps": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := memlog.NewStore()
				l := openWith(t, store, single)
				broken := new(atomic.Bool)
				broken.Store(true)
				h := moody(broken, &outbox.Policy{Ordered: true, Attempts: 1})
				targets := []string{"a/1", "a/2", "a/3", "b/1", "b/2", "b/3"}
				for i, to := range targets {
					enqueue(t, l, Fail{to}, Add{to, i}, Add{to, i + 10})
				}
				const strangers = 10 // of a type that the second drain does not know
				for i := range strangers {
					enqueue(t, l, named{"test.gone", fmt.Sprintf("c/%d", i), nil})
				}
				gone := outbox.Handler{Type: "test.gone", Policy: outbox.Policy{Ordered: true, Attempts: 1}, Do: func(*eventlog.Tx, outbox.Raw) error { return errFail }}
				drain(t, runner(l, h, adding, gone))
				for _, to := range targets[:2] { // the others stay as they are
					if n, err := outbox.Discard(t.Context(), l, outbox.Filter{Target: to}, byAnn); n != 1 || err != nil {
						t.Errorf("%d discarded: %v", n, err)
					}
				}
				value, version, err := l.ReadCell(t.Context(), cursor0)
				var mark map[string]any
				if err == nil {
					err = json.Unmarshal(value, &mark)
				}
				if mark["at"] = 3*len(targets) + strangers + 2; err == nil { // the decisions were read, and are saved as such
					value, err = json.Marshal(mark)
				}
				if err == nil {
					_, err = l.SwapCell(t.Context(), cursor0, version, value)
				}
				if err != nil {
					t.Fatal(err)
				}
				if held {
					asleep := make(chan struct{})
					defer close(asleep)
					other := drivertest.NewFaulty(store.Open(), nil)
					r := runner(over(t, other, single), h, adding)
					r.Lease, r.Sweep = time.Hour, time.Minute
					r.Hooks.Sweep = func(outbox.SweepInfo) { <-asleep }
					start(t, r)
					synctest.Wait()
				}
				drain(t, runner(l, h, adding))
				for i, to := range targets {
					want := []int{i, i + 10}
					if i >= 2 {
						want = nil
					}
					if got := added(t, l, to); !slices.Equal(got, want) {
						t.Errorf("%s: %v", to, got)
					}
				}
			})
		})
	}
}

// TestDrainBesideAVisitor: that others change the cursor, too, is no error.
func TestDrainBesideAVisitor(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	l := openWith(t, store, single)
	meddled := 0
	d := meddler{store.Open(), func(w driver.Write) {
		if len(w.Cells) == 0 || w.Cells[0].Cell.Key != cursor0 || meddled == 3 {
			return
		}
		meddled++
		value, version, err := l.ReadCell(t.Context(), cursor0)
		if err == nil {
			_, err = l.SwapCell(t.Context(), cursor0, version, value)
		}
		if err != nil {
			t.Error(err)
		}
	}}
	enqueue(t, l, Add{"a/1", 1}, named{"test.unknown", "a/1", 1})
	drain(t, runner(over(t, d, single), adding))
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) || meddled != 3 {
		t.Errorf("a/1: %v; the cursor was changed %d times", got, meddled)
	}
	if n := cellsLeft(t, l); n != 1 {
		t.Errorf("%d cells", n)
	}
}

// meddler does something before each write.
type meddler struct {
	driver.Log
	before func(driver.Write)
}

func (m meddler) Write(ctx context.Context, w driver.Write) error {
	m.before(w)
	return m.Log.Write(ctx, w)
}

// TestConflicts: a batch that meets others each time is tried again; the store is
// not to blame, and a drain goes on.
func TestConflicts(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Attempts: 2})
	runs := 0
	h := outbox.On(func(tx *eventlog.Tx, a Add) error {
		for _, err := range tx.Read(eventlog.Query{Stream: "hot/1"}) {
			if err != nil {
				return err
			}
		}
		if runs++; runs < 12 {
			if _, err := l.Append(context.Background(), "hot/1", nil, Added{runs}); err != nil {
				return err
			}
		}
		return tx.Append(a.To, Added{a.N})
	}, nil)
	r := runner(l, h)
	troubles := 0
	r.Hooks.Trouble = func(int, error) { troubles++ }
	enqueue(t, l, Add{"a/1", 1})
	drain(t, r)
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) || runs != 12 || troubles != 0 {
		t.Errorf("a/1: %v after %d runs, %d troubles", got, runs, troubles)
	}
}

// TestReadingThatFailed is done again before the next sweep.
func TestReadingThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		faulty := drivertest.NewFaulty(store.Open(), nil)
		l, other := over(t, faulty, single), over(t, store.Open(), single) // what others write is read from the store
		r := runner(l, adding)
		r.Sweep = time.Hour
		start(t, r)
		enqueue(t, l, Add{"a/1", 1})
		sleep(time.Minute)
		failed := 0
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Find" && c.Key == "$steps/0" && failed < 3 {
				failed++
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		enqueue(t, other, Add{"a/1", 2})
		eventually(t, l, "a/1", 1, 2)
		if failed != 3 {
			t.Errorf("%d readings failed", failed)
		}
	})
}

// TestLagAtTheStart counts from the start.
func TestLagAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l := over(t, faulty, single)
		faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		r := runner(l, adding)
		start(t, r)
		sleep(10 * time.Second)
		if s, err := r.Status(context.Background()); err != nil || s.Lag < 5*time.Second || s.Lag > 10*time.Second {
			t.Errorf("10 seconds after a start that failed the lag is %v: %v", s.Lag, err)
		}
		faulty.Inject(nil)
	})
}
