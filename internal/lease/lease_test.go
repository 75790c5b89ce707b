package lease_test

import (
	"context"
	"errors"
	"fmt"
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

// TestSpreadIsEvenAndStays: whatever number of runners, each thing has one
// holder, all hold about the same, and then nothing changes hands any more.
func TestSpreadIsEvenAndStays(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5; n++ {
		for _, count := range []int{1, 3, 16, 101} {
			synctest.Test(t, func(t *testing.T) {
				s := memlog.NewStore()
				var all []*lease.Keeper
				for range n {
					all = append(all, process(t, s, count))
					live(t, 2*interval, all...)
				}
				live(t, 3*interval, all...)
				even(t, count, all...)
				before := epochs(t, all[0])
				live(t, 4*duration, all...)
				if after := epochs(t, all[0]); !slices.Equal(before, after) {
					t.Errorf("%d runners, %d things: epochs were %v and are %v", n, count, before, after)
				}
				if n != all[0].Runners() {
					t.Errorf("%d of %d runners", all[0].Runners(), n)
				}
			})
		}
	}
}

func epochs(t tester, k *lease.Keeper) []uint64 {
	t.Helper()
	list, err := lease.Leases(context.Background(), k.Log, k.Prefix, k.Count)
	if err != nil {
		t.Fatal(err)
	}
	var out []uint64
	for _, s := range list {
		out = append(out, s.Epoch)
	}
	return out
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

// TestComingAndGoing: who comes gets its share, who closes leaves it to the
// others at once.
func TestComingAndGoing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b, c := process(t, s, 16), process(t, s, 16), process(t, s, 16)
		step(t, a)
		even(t, 16, a)
		step(t, b, a, b)
		even(t, 16, a, b)
		step(t, c, a, b, c)
		even(t, 16, a, b, c)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := b.Held(); held != nil {
			t.Errorf("held after Close: %v", held)
		}
		step(t, a, c)
		even(t, 16, a, c)
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		step(t, b, a, c, b)
		even(t, 16, a, b, c)
	})
}

// TestSurplusWaitsForItsUser: what is surplus stays held, and the same, until
// its user gives it back.
func TestSurplusWaitsForItsUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := process(t, s, 4), process(t, s, 4)
		tick(t, a, b)
		for range 10 {
			time.Sleep(interval)
			tick(t, a, b)
			if got := a.Surplus(); !slices.Equal(got, []int{2, 3}) || len(a.Held()) != 4 || len(b.Held()) != 0 {
				t.Fatalf("surplus %v, held %v and %v", got, a.Held(), b.Held())
			}
		}
		if err := a.GiveBack(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if err := a.GiveBack(t.Context(), 3); err != nil {
			t.Errorf("given back twice: %v", err)
		}
		if err := b.GiveBack(t.Context(), 0); err != nil || !a.Holds(lease.Lease{Index: 0, Epoch: 1}) {
			t.Errorf("what another holds is given back: %v", err)
		}
		tick(t, b)
		if got := b.Held(); !slices.Equal(got, []lease.Lease{{Index: 3, Epoch: 2}}) {
			t.Errorf("held %v", got)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		tick(t, a)
		if got := a.Surplus(); len(got) != 0 || len(a.Held()) != 4 {
			t.Errorf("alone again: surplus %v, held %v", got, a.Held())
		}
	})
}

// TestIdleCost: one write and two range reads a tick, however many things there
// are, and fewer writes where ticks are more often than they need be.
func TestIdleCost(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 1000} {
		synctest.Test(t, func(t *testing.T) {
			f := counting(memlog.NewStore().Open())
			k := keeper(openLog(t, f), count)
			tick(t, k)
			time.Sleep(interval)
			writes, reads := f.Calls("Write"), f.Calls("Cells")
			for range 10 {
				tick(t, k)
				time.Sleep(interval)
			}
			if w, r := f.Calls("Write")-writes, f.Calls("Cells")-reads; w != 10 || r != 20 {
				t.Errorf("%d things: 10 ticks cost %d writes and %d reads", count, w, r)
			}
			writes = f.Calls("Write")
			for range 100 {
				tick(t, k)
				time.Sleep(duration / 100)
			}
			if w := f.Calls("Write") - writes; w > 8 {
				t.Errorf("100 ticks within a duration wrote %d heartbeats", w)
			}
		})
	}
}

// TestRefusals: what makes no sense is refused by every method that would use it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	l := openLog(t, memlog.Open())
	for _, k := range []*lease.Keeper{
		{Prefix: "p", Count: 1},
		{Log: l, Count: 1},
		{Log: l, Prefix: "p\x01", Count: 1},
		{Log: l, Prefix: "p"},
		{Log: l, Prefix: "p", Count: -1},
		{Log: l, Prefix: "p", Count: 10_001},
		{Log: l, Prefix: "p", Count: 1, Duration: -1},
		{Log: l, Prefix: "p", Count: 1, Duration: time.Microsecond},
		{Log: l, Prefix: "p", Count: 1, Duration: 2 * time.Hour},
	} {
		if k.Check() == nil || k.Tick(t.Context()) == nil || k.GiveBack(t.Context(), 0) == nil || k.Close(t.Context()) == nil {
			t.Errorf("%q %d %v is taken", k.Prefix, k.Count, k.Duration)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := keeper(l, 1).Tick(over); !errors.Is(err, context.Canceled) {
		t.Errorf("ctx is over: %v", err)
	}
}

// TestLeases: what status commands show.
func TestLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := process(t, s, 2), process(t, s, 2)
		a.Name, b.Name = "ann", "bob"
		start := time.Now()
		live(t, 4*interval, a, b)
		list, err := lease.Leases(t.Context(), b.Log, "$test", 3)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list {
			got = append(got, fmt.Sprintf("%d %d %s", s.Index, s.Epoch, s.Name))
			if s.Name != "" && (s.Runner == "" || s.Host == "" || s.Since.Before(start) || time.Since(s.Beat) > 2*interval) {
				t.Errorf("%+v", s)
			}
		}
		if want := []string{"0 1 ann", "1 2 bob", "2 0 "}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, err = lease.Leases(t.Context(), b.Log, "$test", 1); err != nil || list[0].Runner != "" || list[0].Epoch != 1 {
			t.Errorf("after Close: %+v, %v", list, err)
		}
	})
}

// A tester is a test of testing or of rapid.
type tester interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}
