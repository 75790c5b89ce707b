package lease_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// These tests are about what others do between two calls of a Tick.

// ways returns a keeper and what its calls go through.
func way(t *testing.T, s *memlog.Store, count int) (*lease.Keeper, *drivertest.Faulty) {
	t.Helper()
	f := counting(s.Open())
	return keeper(openLog(t, f), count), f
}

// next lets something happen right before the n-th call of a method from now on.
func next(f *drivertest.Faulty, method string, n int, do func()) {
	n += f.Calls(method)
	f.Inject(func(c drivertest.Call) drivertest.Fault {
		if c.Method == method && c.N == n {
			do()
		}
		return drivertest.Fault{}
	})
}

// TestNewcomerIsNotRobbed: who registers and takes leases while another looks is
// not taken for dead.
func TestNewcomerIsNotRobbed(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2; n++ {
		synctest.Test(t, func(t *testing.T) {
			s := memlog.NewStore()
			a, f := way(t, s, 4)
			b := process(t, s, 4)
			next(f, "Cells", n, func() { tick(t, b) })
			if err := a.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := epochs(t, b); len(b.Held()) != 2 || got[0] > 1 || got[3] > 1 {
				t.Errorf("read %d: held %v, epochs %v", n, b.Held(), got)
			}
			step(t, b, a)
			even(t, 4, a, b)
		})
	}
}

// TestNobodyIsBlamedForAPauseOfTheObserver: who wakes cannot say that another
// gave no sign of life meanwhile.
func TestNobodyIsBlamedForAPauseOfTheObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := process(t, s, 8), process(t, s, 8)
		live(t, 4*interval, a, b)
		tick(t, a)
		before := b.Held()
		time.Sleep(time.Minute)
		tick(t, a, b)
		if after := b.Held(); len(before) != 4 || len(after) != 4 || after[0] != before[0] {
			t.Errorf("held %v and then %v", before, after)
		}
	})
}

// barren is a runner that finds others dead and cannot take what they had.
func barren(k *lease.Keeper) *lease.Keeper {
	k.Fence = func(context.Context, int, uint64) ([]driver.CellOp, error) { return nil, errBarren }
	return k
}

var errBarren = errors.New("barren")

func tickBarren(t *testing.T, b *lease.Keeper) {
	t.Helper()
	for range 7 {
		if err := b.Tick(context.Background()); err != nil && !errors.Is(err, errBarren) {
			t.Error(err)
		}
		time.Sleep(interval)
	}
}

func runners(t *testing.T, k *lease.Keeper) (keys []string) {
	t.Helper()
	for c, err := range k.Log.Cells(context.Background(), "$test\x01runner\x01", "$test\x01runner\x02", 0) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(c.Key, "$test\x01runner\x01"))
	}
	return keys
}

// TestFoundDeadWhileLooking: a runner whose store answers so slowly that it was
// found dead in the middle of a Tick is another runner at the end of it.
func TestFoundDeadWhileLooking(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2; n++ {
		synctest.Test(t, func(t *testing.T) {
			s := memlog.NewStore()
			a, f := way(t, s, 4)
			b := barren(process(t, s, 4))
			tick(t, a)
			was := runners(t, a)
			time.Sleep(interval)
			next(f, "Cells", n, func() { tickBarren(t, b) })
			if err := a.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			now := runners(t, b)
			if len(now) != 2 || now[1] == was[0] {
				t.Errorf("read %d: runners were %v and are %v", n, was, now)
			}
			for _, l := range a.Held() {
				if l.Epoch != 2 {
					t.Errorf("read %d: held %v", n, a.Held())
				}
			}
		})
	}
}

// TestFoundDead: whoever was found dead holds nothing of what it held, also when
// nobody has taken it yet.
func TestFoundDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := process(t, s, 4), barren(process(t, s, 4))
		tick(t, a)
		tickBarren(t, b)
		tick(t, a)
		if held := a.Held(); len(held) != 2 || held[0].Epoch != 2 || held[1].Epoch != 2 {
			t.Errorf("held %v", held)
		}
	})
}

// TestTheDeadTakeNothing: a taking that arrives after its runner was found dead
// does nothing.
func TestTheDeadTakeNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, f := way(t, s, 1)
		b := barren(process(t, s, 1))
		next(f, "Write", 2, func() { tickBarren(t, b) })
		if err := a.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := epochs(t, b); got[0] != 0 || len(a.Held()) != 0 {
			t.Errorf("epoch %d, held %v", got[0], a.Held())
		}
	})
}

// TestASignOfLifeInTheLastMoment keeps a runner alive.
func TestASignOfLifeInTheLastMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a := process(t, s, 4)
		b, f := way(t, s, 4)
		tick(t, a, b)
		before := a.Held()
		for range 3 {
			time.Sleep(interval)
			tick(t, b)
		}
		time.Sleep(interval)
		next(f, "Write", 2, func() { tick(t, a) }) // the first is b's own heartbeat
		tick(t, b)
		if after := a.Held(); len(after) != 4 || after[0] != before[0] || len(b.Held()) != 0 || b.Runners() != 2 {
			t.Errorf("held %v and then %v; %v", before, after, b.Held())
		}
	})
}

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
