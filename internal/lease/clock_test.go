package lease_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// TestExclusiveStore: where nobody else can write, what the process before held
// is taken at once, and runners of one process share.
func TestExclusiveStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &alone{memlog.NewStore().Open()}
		before := openLog(t, store)
		tick(t, keeper(before, 8))
		l := openLog(t, &alone{store.Log})
		a, b := keeper(l, 8), keeper(l, 8)
		tick(t, a)
		if got := a.Held(); len(got) != 8 || got[0].Epoch != 2 {
			t.Errorf("held at once: %v", got)
		}
		step(t, b, a, b)
		even(t, 8, a, b)
		for range 3 {
			step(t, a, b)
			even(t, 8, a, b)
		}
	})
}

// alone is a store that nobody else writes to; closing it twice is fine.
type alone struct{ driver.Log }

func (a *alone) Exclusive() bool { return true }
func (a *alone) Close() error    { return nil }

// future returns a commit, the first of shard 0, that was made by a clock a
// quarter of a century ahead of that of synctest.
func future(t *testing.T) driver.Write {
	t.Helper()
	d := memlog.NewStore().Open()
	if _, err := openLog(t, d).Append(t.Context(), "a/1", nil, eventlog.Raw{Type: "a"}); err != nil {
		t.Fatal(err)
	}
	for c, err := range d.Read(t.Context(), 0, driver.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		return driver.Write{Batches: []driver.Batch{{First: 1, Commits: []driver.Commit{c}}}}
	}
	panic("no commit")
}

// TestWallClocksDoNotMatter: with clocks that are years apart, jump ahead and then
// stand still, nobody is found dead who lives, and who died is found.
func TestWallClocksDoNotMatter(t *testing.T) {
	t.Parallel()
	ahead := future(t)
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		all := []*lease.Keeper{process(t, s, 16), process(t, s, 16), process(t, s, 16)}
		live(t, 4*interval, all...)
		before := epochs(t, all[0])
		writer := s.Open()
		if err := writer.Write(t.Context(), ahead); err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{1, 0} {
			for _, err := range all[i].Log.Read(t.Context(), eventlog.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if d := time.Until(all[i].Log.Now()); d < 24*time.Hour {
				t.Fatalf("the clock is only %v ahead", d)
			}
			live(t, 3*duration, all...)
			even(t, 16, all...)
		}
		if after := epochs(t, all[0]); !slices.Equal(before, after) {
			t.Errorf("epochs were %v and are %v", before, after)
		}
		for crash := time.Now(); len(all[1].Held())+len(all[2].Held()) < 16; time.Sleep(interval) {
			step(t, all[1:]...)
			if d := time.Since(crash); d > duration {
				t.Fatalf("not taken over after %v", d)
			}
		}
	})
}
