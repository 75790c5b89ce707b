package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestLostAnswers of each write: what was done counts, what was not is done
// again, and nobody notices.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Lose, drivertest.Drop} {
		synctest.Test(t, func(t *testing.T) {
			k, f := way(t, memlog.NewStore(), 1)
			lose := func(n int) {
				f.Inject(drivertest.Nth("Write", f.Calls("Write")+n, drivertest.Fault{Kind: kind}))
			}
			lose(2) // the taking
			err := k.Tick(t.Context())
			if done := kind == drivertest.Lose; done != (err == nil) || done != (len(k.Held()) == 1) {
				t.Errorf("%v: held %v, %v", kind, k.Held(), err)
			}
			f.Inject(nil)
			tick(t, k)
			was := k.Held()
			for range 3 * 6 {
				time.Sleep(interval)
				lose(1) // the heartbeat
				tick(t, k)
			}
			if now := k.Held(); len(now) != 1 || now[0] != was[0] {
				t.Errorf("%v: held %v and then %v", kind, was, now)
			}
			lose(1)
			if err := k.GiveBack(t.Context(), 0); !errors.Is(err, driver.ErrUnknown) || len(k.Held()) != 0 {
				t.Errorf("%v: given back: %v; held %v", kind, err, k.Held())
			}
			tick(t, k)
			lose(1)
			if err := k.Close(t.Context()); err != nil || len(runners(t, k)) != 0 {
				t.Errorf("%v: closed: %v; left %v", kind, err, runners(t, k))
			}
		})
	}
}

// TestSlowTaking: while a store takes its time, a Tick ends in time for the next
// heartbeat, and what is taken already stays.
func TestSlowTaking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := process(t, memlog.NewStore(), 1000)
		k.Fence = func(context.Context, int, uint64) ([]driver.CellOp, error) {
			time.Sleep(interval / 3)
			return nil, nil
		}
		for before := 0; before < 1000; {
			start := time.Now()
			tick(t, k)
			if d := time.Since(start); d > interval+interval/3 {
				t.Fatalf("a Tick takes %v", d)
			}
			if now := len(k.Held()); now <= before {
				t.Fatalf("%d are held, and then %d", before, now)
			} else {
				before = now
			}
		}
	})
}

// TestRaceForALease: when two want the same thing, one gets it, and the other
// says nothing.
func TestRaceForALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		c := process(t, s, 3)
		a, f := way(t, s, 3)
		b := process(t, s, 3)
		tick(t, c, a, b)
		if err := c.Close(t.Context()); err != nil { // three are free, for two
			t.Fatal(err)
		}
		next(f, "Write", 1, func() { tick(t, b) })
		if err := a.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, l := range b.Held() {
			if a.Holds(l) {
				t.Errorf("both hold %v", l)
			}
		}
		step(t, a, b)
		even(t, 3, a, b)
	})
}

// TestGivingBackWhatIsLost is no error.
func TestGivingBackWhatIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := process(t, s, 1), process(t, s, 1)
		tick(t, a)
		live(t, 2*duration, b)
		if err := a.GiveBack(t.Context(), 0); err != nil {
			t.Error(err)
		}
		even(t, 1, b)
	})
}
