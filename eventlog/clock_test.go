package eventlog

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestClockRises: no time is given twice, none falls, whatever the wall clock
// and other writers do.
func TestClockRises(t *testing.T) {
	t.Parallel()
	var wall atomic.Int64
	wall.Store(1_000_000)
	c := clock{now: func() time.Time { return time.Unix(0, wall.Add(-1)) }} // it runs backward
	lists := make([][]int64, 4)
	var wg sync.WaitGroup
	for i := range lists {
		wg.Go(func() {
			for n := range 2000 {
				if n%100 == 50 {
					c.observe(2_000_000 + int64(n))
				}
				lists[i] = append(lists[i], c.next())
			}
		})
	}
	wg.Wait()
	var all []int64
	for _, list := range lists {
		if !slices.IsSorted(list) {
			t.Error("a goroutine was given falling times")
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	if n := len(all); len(slices.Compact(all)) != n {
		t.Error("a time was given twice")
	}
	if next := c.next(); next <= 2_000_000+1950 {
		t.Errorf("time %d is not behind what was observed", next)
	}
	if at, next := c.read(), c.next(); next < at {
		t.Errorf("time %d is before %d, which was read", next, at)
	}
}

func TestClockAhead(t *testing.T) {
	t.Parallel()
	c := clock{now: func() time.Time { return time.Unix(0, 0) }}
	if err := c.ahead(int64(time.Second), time.Second); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := c.ahead(int64(time.Second)+1, time.Second); !errors.Is(err, ErrClock) {
		t.Errorf("above the limit: %v, expected ErrClock", err)
	}
}
