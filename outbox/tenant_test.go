package outbox_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/race"
	"github.com/rollforward/rollforward/outbox"
)

// TestTenants: a tenant whose steps fill all the room that it has keeps nobody
// else waiting, however alike the names are.
func TestTenants(t *testing.T) {
	t.Parallel()
	names := []string{"proj1", "proj2", "proj", "a.b", "a:b", "a", "a b", "x_", "x", "", "ä", "日本", "%2F", "{g}", "$x"}
	for i, greedy := range names {
		t.Run(greedy, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.Open(t, few)
			var steps []outbox.Step
			for n := range 400 {
				steps = append(steps, Add{fmt.Sprintf("%s/%d", greedy, n%20), n})
			}
			others := map[string]bool{} // that are still to come
			for j, name := range names {
				if i != j {
					steps = append(steps, Add{name + "/1", 1})
					others[name+"/1"] = true
				}
				if i != j && name != "" {
					steps = append(steps, Add{name, 2})
					others[name] = true
				}
			}
			var mu sync.Mutex
			release := make(chan struct{})
			h := outbox.On(func(tx *eventlog.Tx, a Add) error {
				if a.N > 2 {
					<-release // the greedy tenant hangs
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				delete(others, a.To)
				select {
				case <-release:
				default:
					if len(others) == 0 {
						close(release)
					}
				}
				return nil
			}, nil)
			update(t, l, func(tx *eventlog.Tx) error { // all in one shard, the greedy one's first
				for _, s := range steps[3:] {
					if err := outbox.Enqueue(tx, s); err != nil {
						return err
					}
				}
				return nil
			})
			r := runner(l, h)
			r.ReadAhead, r.Targets = 64, 64
			drain(t, r) // it would never end
		})
	}
}

// TestBacklogOfATenant: with a hundred thousand steps of one tenant ahead, a
// single step of another one waits for a few batches of them, also when its
// runner has just started.
func TestBacklogOfATenant(t *testing.T) {
	t.Parallel()
	total := 100_000
	if race.Enabled || testing.Short() {
		total = 20_000
	}
	l := eventlogtest.Open(t, few)
	for n := 0; n < total; n += 500 {
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append(streamIn(l, "home", 1, true), Added{n}); err != nil {
				return err
			}
			for i := range 500 {
				if err := outbox.Enqueue(tx, Add{fmt.Sprintf("big/%d", i%100), n}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var done atomic.Int64 // of the backlog
	seen := make(chan int64, 1)
	h := outbox.On(func(tx *eventlog.Tx, a Add) error {
		if a.To == "small/1" {
			select {
			case seen <- done.Load():
			default: // a second run of the same transaction
			}
		} else {
			done.Add(1)
		}
		return tx.Append(a.To, Added{a.N})
	}, nil)
	small := func() {
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append(streamIn(l, "home", 1, true), Added{0}); err != nil {
				return err
			}
			return outbox.Enqueue(tx, Add{"small/1", 1})
		})
	}
	small() // behind all of the backlog
	stop := start(t, runner(l, h))
	var waits []int64
	for begin := int64(0); begin < int64(total)*8/10 && len(waits) < 200; begin = done.Load() {
		waits = append(waits, <-seen-begin)
		small()
	}
	<-seen
	stop()
	slices.Sort(waits)
	p99 := waits[len(waits)*99/100]
	if len(waits) == 1 || p99 > 10_000 {
		t.Errorf("the other tenant's %d steps each waited for %v of the backlog", len(waits), waits)
	}
	t.Logf("%d steps, of the backlog went ahead: p50 %d, p99 %d", len(waits), waits[len(waits)/2], p99)
}

// TestOrderUnderBacklog: also what is left unread for a while runs in order.
func TestOrderUnderBacklog(t *testing.T) {
	t.Parallel()
	l := eventlogtest.Open(t, few)
	want := map[string][]int{}
	for n := range 3000 {
		to := fmt.Sprintf("%c/%d", 'a'+n*n%3, n%7)
		want[to] = append(want[to], n)
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append("home", Added{n}); err != nil {
				return err
			}
			return outbox.Enqueue(tx, Add{to, n})
		})
	}
	r := runner(l, adding)
	r.ReadAhead, r.Batch = 16, 3
	stop := start(t, r)
	for n := 3000; n < 3500; n++ { // and more while it works
		to := fmt.Sprintf("%c/%d", 'a'+n*n%3, n%7)
		want[to] = append(want[to], n)
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append("home", Added{n}); err != nil {
				return err
			}
			return outbox.Enqueue(tx, Add{to, n})
		})
	}
	stop()
	drain(t, r)
	for to, numbers := range want {
		if got := added(t, l, to); !slices.Equal(got, numbers) {
			t.Errorf("%s: %v, want %v", to, got, numbers)
		}
	}
}

// TestLatency is not timed: it counts what happens between a commit and its
// step's effect on an idle log. Nothing waits for a sweep.
func TestNothingWaitsForASweep(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	r := runner(l, relaying)
	r.Sweep = time.Hour
	start(t, r)
	for i := range 100 {
		enqueue(t, l, Relay{[]string{"a/1", "b/1", "c/1"}, i})
		for range l.Read(t.Context(), eventlog.Query{Stream: "c/1", From: uint64(i + 1), Follow: true, Limit: 1}) {
		}
	}
}
