package saga_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/saga"
)

// TestCensusCellIsLost: it is written again by who holds the shard; without it, and
// without a holder, the shard is counted again.
func TestCensusCellIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := openStore(t, memlog.NewStore())
		s := round(hear("a"))
		lose := func() {
			t.Helper()
			for shard := range l.Shards() {
				key := fmt.Sprintf("$census\x01counts\x01%04d", shard)
				_, version, err := l.ReadCell(t.Context(), key)
				if err == nil && version > 0 {
					_, err = l.SwapCell(t.Context(), key, version, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		wait(t, l, s, 0, 20)
		c := &saga.Census{Log: l}
		stop := startCensus(t, c)
		expectCounts(t, "at first", "round running 20", c)
		lose()
		wait(t, l, s, 20, 40)
		expectCounts(t, "lost on the way", "round running 40", c)
		if err := c.Health(t.Context()); err != nil || len(cells(t, l)) != l.Shards() {
			t.Errorf("cells %q, health %v", cells(t, l), err)
		}
		stop()
		lose()
		c = &saga.Census{Log: l}
		startCensus(t, c)
		expectCounts(t, "lost between two", "round running 40", c)
	})
}

// TestCensusCosts: commits are read once, also over a restart, what comes in a sweep is
// one reading and at most one write, and an idle log costs no more than the leases.
func TestCensusCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openStore(t, store)
		s := round(hear("a"))
		wait(t, l, s, 0, 200)
		own, faulty := faultyLog(t, store)
		var reads, writes atomic.Int32
		watch := func(c drivertest.Call) drivertest.Fault {
			switch {
			case c.Method == "Read":
				reads.Add(1)
			case c.Method == "Write" && strings.HasPrefix(c.Write.Cells[0].Cell.Key, "$census\x01counts"):
				writes.Add(1)
			}
			return drivertest.Fault{}
		}
		within := func(when string, mostReads, mostWrites int32) {
			t.Helper()
			if r, w := reads.Swap(0), writes.Swap(0); r > mostReads || w > mostWrites {
				t.Errorf("%s: %d reads and %d writes, want at most %d and %d", when, r, w, mostReads, mostWrites)
			}
		}
		faulty.Inject(watch)
		c := &saga.Census{Log: own}
		stop := startCensus(t, c)
		expectCounts(t, "at first", "round running 200", c)
		if reads.Load() == 0 || writes.Load() == 0 {
			t.Fatal("the test sees nothing")
		}
		within("at first", 4*2, 4)
		time.Sleep(time.Hour)
		within("idle", 0, 0)
		for i := range 10 {
			wait(t, l, s, 200+20*i, 220+20*i)
			time.Sleep(100 * time.Millisecond)
		}
		expectCounts(t, "busy for a second", "round running 400", c)
		within("busy for a second", 4*2*2, 4*2)
		if _, err := l.Append(t.Context(), "a", nil, noted{"x"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		within("an event of no saga", 2, 0)
		stop()
		within("the end", 0, 1)
		c = &saga.Census{Log: own}
		startCensus(t, c)
		expectCounts(t, "again", "round running 400", c)
		within("again", 0, 0)
	})
}

// TestCensusIdle: where the store is one process's own, an idle log is not asked how far
// it is.
func TestCensusIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, few)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		wait(t, l, round(hear("a")), 0, 20)
		stop := startCensus(t, &saga.Census{Log: l})
		defer stop()
		time.Sleep(time.Minute)
		asked := func() []int { return []int{f.Calls("Tail"), f.Calls("Read"), f.Calls("Find")} }
		before, writes := asked(), f.Calls("Write")
		time.Sleep(time.Hour)
		if diff := cmp.Diff(before, asked()); diff != "" {
			t.Errorf("calls of Tail, Read and Find (-before +after an hour):\n%s", diff)
		}
		if n := f.Calls("Write") - writes; n > 3600 { // a heartbeat each second
			t.Errorf("%d writes in an hour", n)
		}
	})
}

// TestCensusChaos: whatever the stores of those who count and of those who run sagas
// do, in the end the counts are what there is.
func TestCensusChaos(t *testing.T) {
	t.Parallel()
	seeds := uint64(10)
	if os.Getenv("ROLLFORWARD_SOAK") == "1" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { censusChaos(t, seed) })
		})
	}
}

func censusChaos(t *testing.T, seed uint64) {
	store := memlog.NewStore()
	l := openStore(t, store)
	r := rand.New(rand.NewPCG(seed, 1))
	s := round(adding("one"), sendOut(""), hear("a"), refusing("last"))
	good := round(adding("one"), hear("a"))
	good.Name = "good"
	all := append(both(s, errands), good.Handlers()...)
	for life := range 3 {
		var stops []func()
		for p := range 2 {
			own, faulty := faultyLog(t, store)
			faulty.Inject(drivertest.Chaos(seed*100+uint64(10*life+p), drivertest.Even))
			stops = append(stops, startCensus(t, &saga.Census{Log: own, Sweep: 200 * time.Millisecond, Lease: 3 * time.Second}), func() { faulty.Deliver(context.Background()) })
		}
		for i := range 5 {
			id := fmt.Sprint(5*life + i)
			start(t, l, s, id, count{})
			start(t, l, good, id, count{})
			drain(t, l, all...)
			name := []string{"round", "good"}[r.IntN(2)]
			switch r.IntN(3) {
			case 0:
				send(t, l, saga.Signal{Saga: name, ID: id, Name: "a"})
			case 1:
				send(t, l, saga.Cancel{Saga: name, ID: id})
			}
			drain(t, l, all...)
			time.Sleep(time.Duration(r.Int64N(int64(2 * time.Second))))
		}
		for _, stop := range stops {
			stop()
		}
	}
	a, b := &saga.Census{Log: l, Lease: 3 * time.Second}, &saga.Census{Log: openStore(t, store), Lease: 3 * time.Second}
	startCensus(t, a)
	startCensus(t, b)
	time.Sleep(10 * time.Second)
	if diff := cmp.Diff(listed(t, l), counts(t, a, b)); diff != "" {
		t.Errorf("seed %d (-listed +counted):\n%s", seed, diff)
	}
}
