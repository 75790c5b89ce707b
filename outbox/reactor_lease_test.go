package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestReactorSleeper: a holder that falls asleep in the middle of a commit loses
// its shards within the lease time; when it wakes after a minute, what it was
// about to write is refused, and it gets a share again.
func TestReactorSleeper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		faulty := drivertest.NewFaulty(store.Open(), nil)
		sleeper, err := eventlog.Open(t.Context(), faulty, few)
		if err != nil {
			t.Fatal(err)
		}
		defer sleeper.Close()
		first := quick(sleeper)
		first.Runner = "sleeper"
		stop := startRun(t, first)
		time.Sleep(time.Second)
		wake := make(chan struct{})
		faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Before: wake} })
		add(t, l, "a/1", 1, 2)
		time.Sleep(time.Second) // its poll; now it sleeps
		other := quick(l)
		startRun(t, other)
		time.Sleep(2 * other.Lease)
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("taken over: seen %v", got)
		}
		if err := first.Health(context.Background()); err == nil {
			t.Error("the sleeper believes to be well")
		}
		time.Sleep(time.Minute)
		faulty.Inject(nil)
		close(wake)
		add(t, l, "a/1", 3)
		time.Sleep(5 * time.Second)
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("awake: seen %v", got)
		}
		crewShares(t, other, 2, 2)
		stop()
		time.Sleep(5 * time.Second)
		crewShares(t, other, 4)
	})
}

// shares holds the leases of a reactor against how many each runner should have.
func crewShares(t *testing.T, r *outbox.Reactor, want ...int) {
	t.Helper()
	list, err := r.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, s := range list {
		n[s.Runner]++
	}
	var got []int
	for _, k := range n {
		got = append(got, k)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the shards are shared as %v, want %v", got, want)
	}
}

// TestReactorsShareTheShards: evenly, with each event reacted to once, and those
// who come and go change nothing.
func TestReactorsShareTheShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := open(t, store)
		var stops []func()
		for i := range 3 {
			r := quick(open(t, store))
			r.Runner = fmt.Sprint("runner ", i)
			stops = append(stops, startRun(t, r))
			add(t, l, "a/1", i)
			time.Sleep(5 * time.Second)
		}
		crewShares(t, quick(l), 5, 5, 6)
		stops[1]()
		time.Sleep(time.Second)
		add(t, l, "a/1", 3)
		time.Sleep(5 * time.Second)
		crewShares(t, quick(l), 8, 8)
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{0, 1, 2, 3}) {
			t.Errorf("seen %v", got)
		}
	})
}

// TestReactorsWithoutLeases: whoever works on a shard beside its holder, as Drain
// does, doubles nothing.
func TestReactorsWithoutLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		startRun(t, quick(openWith(t, store, few)))
		var want []int
		for i := range 200 {
			add(t, l, "a/1", i)
			want = append(want, i)
			if i%10 == 0 {
				drainReactor(t, quick(l))
			}
			time.Sleep(30 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if got := seen(t, l, "a/1"); !slices.Equal(got, want) {
			t.Errorf("seen %v", got)
		}
	})
}

// TestReactorForgetsTroubleOfOthers: what fails in a shard that another runner
// took over is for that one to report.
func TestReactorForgetsTroubleOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		var all []*outbox.Reactor
		for range 2 {
			r := quick(openWith(t, store, few))
			r.React = func(*eventlog.Tx, eventlog.Record) error { return errFail }
			all = append(all, r)
		}
		for i := range 40 {
			add(t, all[0].Log, fmt.Sprintf("a/%d", i), 1)
		}
		for i, want := range []int{4, 2} {
			startRun(t, all[i])
			time.Sleep(5 * time.Second)
			for _, r := range all[:i+1] {
				if n := strings.Count(r.Health(context.Background()).Error(), "stands still"); n != want {
					t.Errorf("%d shards stand still, want %d: %v", n, want, r.Health(context.Background()))
				}
			}
		}
	})
}
