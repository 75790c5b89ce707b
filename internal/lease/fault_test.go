package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

func counting(d driver.Log) *drivertest.Faulty { return drivertest.NewFaulty(d, nil) }

func cursorKey(i int) string { return fmt.Sprintf("$cursor\x01%04d", i) }

// fenced gives a keeper the fence that its users have: a cursor is put as it is.
func fenced(k *lease.Keeper) *lease.Keeper {
	k.Fence = func(ctx context.Context, i int, epoch uint64) ([]driver.CellOp, error) {
		value, version, err := k.Log.ReadCell(ctx, cursorKey(i))
		return []driver.CellOp{{Op: driver.Put, If: &version, Cell: driver.Cell{Key: cursorKey(i), Value: value}}}, err
	}
	return k
}

// TestSleeperIsFenced: a holder that sleeps for a minute holds nothing when it
// wakes, can move none of its cursors, and gets a share again.
func TestSleeperIsFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := fenced(process(t, s, 8)), fenced(process(t, s, 8))
		live(t, 3*interval, a, b)
		held := a.Held()
		seen := make(map[int]uint64)
		for _, l := range held {
			_, version, err := a.Log.ReadCell(t.Context(), cursorKey(l.Index))
			if err != nil {
				t.Fatal(err)
			}
			seen[l.Index] = version
		}
		live(t, time.Minute, b)
		even(t, 8, b)
		if len(a.Held()) != 0 || len(a.Surplus()) != 0 || a.Holds(held[0]) {
			t.Errorf("the sleeper wakes and holds %v", a.Held())
		}
		for i, version := range seen {
			var lost *driver.CellError
			if _, err := a.Log.SwapCell(t.Context(), cursorKey(i), version, []byte("stale")); !errors.As(err, &lost) {
				t.Errorf("the sleeper moves cursor %d: %v", i, err)
			}
		}
		tick(t, a)
		for _, l := range a.Held() {
			if slices.Contains(held, l) {
				t.Errorf("it still holds %v", l)
			}
		}
		live(t, 2*interval, b, a)
		even(t, 8, a, b)
	})
}

// TestPauseOfAll: when all machines sleep, or nobody's store answers, nobody is
// found dead for what nobody could see.
func TestPauseOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memlog.NewStore()
		a, b := process(t, s, 8), process(t, s, 8)
		live(t, 4*interval, a, b)
		before := epochs(t, a)
		for range 5 {
			time.Sleep(time.Minute)
			live(t, 2*interval, a, b)
		}
		if after := epochs(t, a); !slices.Equal(before, after) {
			t.Errorf("epochs were %v and are %v", before, after)
		}
		even(t, 8, a, b)
	})
}

// TestStoreDown: each Tick says so, Failing says since when, what is held is
// held no longer than others take it for alive, and it comes back.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := counting(memlog.NewStore().Open())
		k := keeper(openLog(t, f), 8)
		live(t, 2*interval, k)
		if since, err := k.Failing(); err != nil || !since.IsZero() {
			t.Errorf("failing since %v: %v", since, err)
		}
		f.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		down := time.Now()
		for range 10 {
			if err := k.Tick(t.Context()); !errors.Is(err, drivertest.ErrInjected) {
				t.Fatalf("the store is down: %v", err)
			}
			since, err := k.Failing()
			if !since.Equal(down) || !errors.Is(err, drivertest.ErrInjected) {
				t.Errorf("failing since %v (%v): %v", since, down, err)
			}
			if d := time.Since(down); d > duration && len(k.Held()) > 0 {
				t.Errorf("after %v: held %v", d, k.Held())
			}
			time.Sleep(interval)
		}
		f.Inject(nil)
		tick(t, k)
		even(t, 8, k)
		if _, err := k.Failing(); err != nil {
			t.Errorf("failing: %v", err)
		}
	})
}

// TestUnreadableFails: a tick that can write but not read is no success.
func TestUnreadableFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := counting(memlog.NewStore().Open())
		k := keeper(openLog(t, f), 8)
		tick(t, k)
		for n := 1; n <= 2; n++ {
			time.Sleep(interval)
			f.Inject(drivertest.Nth("Cells", f.Calls("Cells")+n, drivertest.Fault{Kind: drivertest.Fail}))
			if err := k.Tick(t.Context()); !errors.Is(err, drivertest.ErrInjected) {
				t.Errorf("read %d fails: %v", n, err)
			}
		}
	})
}

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

// TestFenceIsTriedAgain: a stale holder that moves its cursor just then is no
// reason not to take its lease; a Fence that fails is, for this lease.
func TestFenceIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := fenced(process(t, memlog.NewStore(), 3))
		fence, boom, calls := k.Fence, errors.New("boom"), new(atomic.Int64)
		k.Fence = func(ctx context.Context, i int, epoch uint64) ([]driver.CellOp, error) {
			if i == 1 {
				return nil, boom
			}
			ops, err := fence(ctx, i, epoch)
			if i == 2 && calls.Add(1) < 3 {
				if _, err := k.Log.SwapCell(ctx, cursorKey(i), *ops[0].If, []byte("on")); err != nil {
					t.Error(err)
				}
			}
			return ops, err
		}
		if err := k.Tick(t.Context()); !errors.Is(err, boom) {
			t.Errorf("a Fence failed: %v", err)
		}
		if got := indexes(k.Held()); !slices.Equal(got, []int{0, 2}) {
			t.Errorf("held %v after %d calls", got, calls.Load())
		}
		if value, _, err := k.Log.ReadCell(t.Context(), cursorKey(2)); string(value) != "on" || err != nil {
			t.Errorf("the cursor is %q, %v", value, err)
		}
	})
}

// TestDamagedLease is not taken, since its epoch would fall; it is reported, and
// the others are taken.
func TestDamagedLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := process(t, memlog.NewStore(), 3)
		version, err := k.Log.SwapCell(t.Context(), "$test\x01lease\x010001", 0, []byte("{"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := k.Tick(t.Context()); !errors.Is(err, eventlog.ErrCorrupt) || !strings.Contains(err.Error(), "0001") {
				t.Errorf("a damaged lease: %v", err)
			}
			if got := indexes(k.Held()); !slices.Equal(got, []int{0, 2}) {
				t.Errorf("held %v", got)
			}
		}
		if list, err := lease.Leases(t.Context(), k.Log, "$test", 3); err != nil || list[1].Err == nil || list[2].Err != nil {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := k.Log.SwapCell(t.Context(), "$test\x01lease\x010001", version, nil); err != nil {
			t.Fatal(err)
		}
		tick(t, k)
		even(t, 3, k)
	})
}

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
