package lease_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// A world is some runners on one store, each over a way of its own that may do
// wrong, and what was seen of them.
type world struct {
	*rapid.T
	faults  bool
	count   int
	runners []*lease.Keeper
	ways    []*drivertest.Faulty
	owner   map[lease.Lease]string // who was seen with a lease, ever
	epoch   map[int]uint64         // highest seen
}

func newWorld(t *rapid.T, faults bool) (w *world, end func()) {
	w = &world{T: t, faults: faults, count: rapid.IntRange(1, 9).Draw(t, "count"),
		owner: make(map[lease.Lease]string), epoch: make(map[int]uint64)}
	store := memlog.NewStore()
	var logs []*eventlog.Log
	for i := range rapid.IntRange(1, 5).Draw(t, "runners") {
		f := counting(store.Open())
		l, err := eventlog.Open(context.Background(), f, &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		if faults {
			f.Inject(drivertest.Chaos(rapid.Uint64().Draw(t, "seed"), drivertest.Even))
		}
		logs, w.ways = append(logs, l), append(w.ways, f)
		k := fenced(keeper(l, w.count))
		k.Name = fmt.Sprint("runner ", i)
		w.runners = append(w.runners, k)
	}
	return w, func() {
		for _, l := range logs {
			_ = l.Close()
		}
	}
}

// act lets one runner do something: most often what it should.
func (w *world) act() {
	i := rapid.IntRange(0, len(w.runners)-1).Draw(w.T, "who")
	k := w.runners[i]
	var err error
	switch what := rapid.IntRange(0, 19).Draw(w.T, "what"); {
	case what < 12:
		err = k.Tick(context.Background())
	case what < 16:
		for _, i := range k.Surplus() {
			err = k.GiveBack(context.Background(), i)
		}
	case what < 17:
		err = k.GiveBack(context.Background(), rapid.IntRange(0, w.count-1).Draw(w.T, "which"))
	case what < 18:
		err = k.Close(context.Background())
	case what < 19:
		w.ways[i].Deliver(context.Background())
	default:
		time.Sleep(time.Duration(rapid.Int64Range(0, int64(3*duration)).Draw(w.T, "long pause")))
	}
	if err != nil && !w.faults {
		w.Fatal(err)
	}
	time.Sleep(time.Duration(rapid.Int64Range(0, int64(interval)/2).Draw(w.T, "pause")))
}

// judge holds what the runners believe against the promises.
func (w *world) judge() {
	holder := make(map[int]string)
	for _, k := range w.runners {
		for _, l := range k.Held() {
			if by, ok := w.owner[l]; ok && by != k.Name {
				w.Fatalf("%v is held by %s and was held by %s", l, k.Name, by)
			}
			w.owner[l] = k.Name
			if by, ok := holder[l.Index]; ok && !w.faults {
				w.Fatalf("%d is held by %s and by %s", l.Index, k.Name, by)
			}
			holder[l.Index] = k.Name
		}
	}
	list, err := lease.Leases(context.Background(), w.runners[0].Log, "$test", w.count)
	if err != nil {
		return // a fault
	}
	for _, s := range list {
		if s.Epoch < w.epoch[s.Index] {
			w.Fatalf("the epoch of %d falls from %d to %d", s.Index, w.epoch[s.Index], s.Epoch)
		}
		w.epoch[s.Index] = s.Epoch
	}
}

// TestModel: whatever runners do and whenever they sleep, an epoch of a thing
// has one holder for all times, and where the store does no wrong a thing has
// one at a time; left alone, they share evenly.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, faults := range []bool{false, true} {
		t.Run(fmt.Sprint("faults ", faults), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				var failure any // rapid's way to end a run
				synctest.Test(t, func(*testing.T) {
					defer func() { failure = recover() }()
					runModel(rt, faults)
				})
				if failure != nil {
					panic(failure)
				}
			})
		})
	}
}

func runModel(t *rapid.T, faults bool) {
	w, end := newWorld(t, faults)
	defer end()
	for range rapid.IntRange(1, 60).Draw(t, "acts") {
		w.act()
		w.judge()
	}
	for _, f := range w.ways {
		f.Inject(nil)
		f.Deliver(context.Background())
	}
	w.faults = false
	live(t, 2*duration, w.runners...)
	even(t, w.count, w.runners...)
}
