package saga_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/saga"
)

// faultyLog opens a log as another process does whose store can be made to fail.
func faultyLog(t testing.TB, s *memlog.Store) (*eventlog.Log, *drivertest.Faulty) {
	t.Helper()
	f := drivertest.NewFaulty(s.Open(), nil)
	l, err := eventlog.Open(context.Background(), f, few)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, f
}

// wait starts instances that wait, in all shards.
func wait(t testing.TB, l *eventlog.Log, s *saga.Saga[count], from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		start(t, l, s, fmt.Sprint(i), count{})
	}
}

// cells returns what is stored of each shard.
func cells(t testing.TB, l *eventlog.Log) (list []string) {
	t.Helper()
	for c, err := range l.Cells(context.Background(), "$census\x01counts\x01", "$census\x01counts\x02", 0) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(c.Value))
	}
	return list
}

// TestCensusIsTakenOver: processes share the shards; what one held that crashed the
// others report within the lease time, and nobody reports what another does.
func TestCensusIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openStore(t, store)
		s := round(hear("a"))
		wait(t, l, s, 0, 20)
		dead, faulty := faultyLog(t, store)
		first := &saga.Census{Log: dead, Lease: 6 * time.Second}
		startCensus(t, first)
		expectCounts(t, "alone", "round running 20", first)
		other := &saga.Census{Log: l, Lease: 6 * time.Second}
		stop := startCensus(t, other)
		expectCounts(t, "two of them", "round running 20", first, other)
		if list, err := other.Counts(t.Context()); err != nil || len(list) != 2 {
			t.Errorf("the other holds %d shards, %v", len(list), err)
		}
		wait(t, l, s, 20, 30)
		expectCounts(t, "two count", "round running 30", first, other)

		faulty.Inject(dying(0, drivertest.Drop))
		wait(t, l, s, 30, 40)
		time.Sleep(6*time.Second + time.Millisecond)
		if list, err := first.Counts(t.Context()); err == nil && len(list) > 0 {
			t.Errorf("the dead one reports %+v", list)
		}
		if err := first.Health(t.Context()); !errors.Is(err, drivertest.ErrInjected) {
			t.Errorf("health of the dead one: %v", err)
		}
		expectCounts(t, "taken over", "round running 40", other)
		faulty.Inject(nil)
		time.Sleep(10 * time.Second)
		expectCounts(t, "it lives", "round running 40", first, other)
		stop()
		expectCounts(t, "the other has ended", "round running 40", first)
		if err := first.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestCensusReportsOnlyWhatItHolds: also in the moments in which a lease is lost, because
// the process cannot say any more that it lives, no shard is reported twice.
func TestCensusReportsOnlyWhatItHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openStore(t, store)
		mute, faulty := faultyLog(t, store)
		first, other := &saga.Census{Log: mute, Lease: 6 * time.Second}, &saga.Census{Log: l, Lease: 6 * time.Second}
		startCensus(t, first)
		time.Sleep(3 * time.Second)
		startCensus(t, other)
		time.Sleep(10 * time.Second)
		for i := range 20 { // so that there is something to write down at the end
			if _, err := l.Append(t.Context(), fmt.Sprint(i), nil, noted{"x"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		hang := make(chan struct{})
		defer close(hang)
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				return drivertest.Fault{Before: hang}
			}
			return drivertest.Fault{}
		})
		for range 2000 {
			time.Sleep(5 * time.Millisecond)
			seen := map[int]int{}
			for _, c := range []*saga.Census{first, other} {
				list, err := c.Counts(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range list {
					if seen[s.Shard]++; seen[s.Shard] > 1 {
						t.Fatalf("shard %d is reported twice", s.Shard)
					}
				}
			}
		}
		expectCounts(t, "taken over", "", other)
	})
}

// TestCensusDoesNotGuess: while a shard cannot be read, its counts of before are not
// reported as those of now.
func TestCensusDoesNotGuess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openStore(t, store)
		own, faulty := faultyLog(t, store)
		c := &saga.Census{Log: own}
		startCensus(t, c)
		expectCounts(t, "at first", "", c)
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Read" {
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		wait(t, l, round(hear("a")), 0, 1)
		time.Sleep(5 * time.Second)
		if _, err := c.Counts(t.Context()); err != nil {
			t.Errorf("what cannot be read is not asked for: %v", err)
		}
		faulty.Inject(nil)
		if list, err := c.Counts(t.Context()); err != nil || len(list) != l.Shards()-1 {
			t.Errorf("%d shards are reported, want all but one; %v", len(list), err)
		}
		if err := c.Health(t.Context()); !errors.Is(err, drivertest.ErrInjected) {
			t.Errorf("health: %v", err)
		}
		expectCounts(t, "the store is back", "round running 1", c)
		if err := c.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestCensusSleeper: a holder that slept while another took over moves nothing when it
// wakes, in whatever call it slept.
func TestCensusSleeper(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Tail", "Cells"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := memlog.NewStore()
				l := openStore(t, store)
				s := round(hear("a"))
				asleep, faulty := faultyLog(t, store)
				first := &saga.Census{Log: asleep, Lease: 6 * time.Second}
				startCensus(t, first)
				expectCounts(t, "at first", "", first)
				wake := make(chan struct{})
				faulty.Inject(func(c drivertest.Call) drivertest.Fault {
					if c.Method != method || method == "Write" && !strings.HasPrefix(c.Write.Cells[0].Cell.Key, "$census\x01counts") {
						return drivertest.Fault{}
					}
					return drivertest.Fault{Before: wake}
				})
				wait(t, l, s, 0, 20)
				time.Sleep(5 * time.Second)
				faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Before: wake} })
				other := &saga.Census{Log: l, Lease: 6 * time.Second}
				startCensus(t, other)
				time.Sleep(12 * time.Second)
				wait(t, l, s, 20, 30)
				expectCounts(t, "taken over", "round running 30", other)
				before := cells(t, l)
				faulty.Inject(func(c drivertest.Call) drivertest.Fault { // awake, but for its leases
					if c.Method == "Write" && strings.HasPrefix(c.Write.Cells[0].Cell.Key, "$census\x01runner") {
						return drivertest.Fault{Kind: drivertest.Fail}
					}
					return drivertest.Fault{}
				})
				close(wake)
				time.Sleep(5 * time.Second)
				if diff := cmp.Diff(before, cells(t, l)); diff != "" {
					t.Errorf("the sleeper wrote:\n%s", diff)
				}
				expectCounts(t, "it is awake", "round running 30", other)
				faulty.Inject(nil)
				time.Sleep(10 * time.Second)
				expectCounts(t, "it has a share", "round running 30", first, other)
			})
		})
	}
}
