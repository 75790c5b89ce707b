package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

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
