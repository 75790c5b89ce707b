package lease_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

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
