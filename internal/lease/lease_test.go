package lease_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	duration = 6 * time.Second
	interval = duration / 6
)

func openLog(t testing.TB, d driver.Log) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), d, &eventlog.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func keeper(l *eventlog.Log, count int) *lease.Keeper {
	return &lease.Keeper{Log: l, Prefix: "$test", Count: count, Duration: duration, Name: "test"}
}

// process is a keeper with a log of its own over a store that others share.
func process(t testing.TB, s *memlog.Store, count int) *lease.Keeper {
	t.Helper()
	return keeper(openLog(t, s.Open()), count)
}

func tick(t tester, keepers ...*lease.Keeper) {
	t.Helper()
	for _, k := range keepers {
		if err := k.Tick(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// step is what a runner does at each of its sweeps.
func step(t tester, keepers ...*lease.Keeper) {
	t.Helper()
	for _, k := range keepers {
		tick(t, k)
		for _, i := range k.Surplus() {
			if err := k.GiveBack(context.Background(), i); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// live lets the runners live for a while.
func live(t tester, d time.Duration, keepers ...*lease.Keeper) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(interval) {
		step(t, keepers...)
	}
}

func indexes(list []lease.Lease) []int {
	var out []int
	for _, l := range list {
		out = append(out, l.Index)
	}
	return out
}

// even holds what keepers hold against the promise: each thing has one holder,
// and nobody has two more than another.
func even(t tester, count int, keepers ...*lease.Keeper) {
	t.Helper()
	var all []int
	least, most := count, 0
	for _, k := range keepers {
		held := indexes(k.Held())
		all = append(all, held...)
		least, most = min(least, len(held)), max(most, len(held))
		if s := k.Surplus(); len(s) > 0 {
			t.Errorf("surplus %v", s)
		}
	}
	slices.Sort(all)
	if len(all) != count || len(slices.Compact(all)) != count {
		t.Errorf("%d things are held as %v", count, all)
	}
	if most-least > 1 {
		t.Errorf("one holds %d, another %d", least, most)
	}
}

// TestCrashIsTakenOverWithinTheDuration, wherever between two ticks of the
// others it crashes, and with an epoch more.
func TestCrashIsTakenOverWithinTheDuration(t *testing.T) {
	t.Parallel()
	for phase := range 6 {
		synctest.Test(t, func(t *testing.T) {
			s := memlog.NewStore()
			a, b, c := process(t, s, 16), process(t, s, 16), process(t, s, 16)
			live(t, 4*interval, a, b, c)
			lost := c.Held()
			time.Sleep(interval * time.Duration(phase) / 6)
			step(t, c) // its last sign of life
			crash := time.Now()
			time.Sleep(interval - interval*time.Duration(phase)/6)
			for len(a.Held())+len(b.Held()) < 16 {
				step(t, a, b)
				if d := time.Since(crash); d > duration {
					t.Fatalf("phase %d: not taken over after %v", phase, d)
				}
				time.Sleep(interval)
			}
			even(t, 16, a, b)
			if len(c.Held()) != 0 {
				t.Error("the dead one still believes to hold leases")
			}
			now := epochs(t, a)
			for _, l := range lost {
				if now[l.Index] <= l.Epoch {
					t.Errorf("lease %d had epoch %d and has %d", l.Index, l.Epoch, now[l.Index])
				}
			}
		})
	}
}

// A tester is a test of testing or of rapid.
type tester interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}
