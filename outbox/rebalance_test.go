package outbox_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestLeavingWithASlowHandler: a shard that goes to a runner which has come is not
// held up by a handler that takes long: the other targets go on soon.
func TestLeavingWithASlowHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		release := make(chan struct{})
		slow := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			<-release
			return tx.Append(a.To, Added{a.N})
		}, nil)
		start(t, runner(openWith(t, store, few), slow, adding))
		for shard := range 4 { // in each shard one that hangs
			enqueue(t, l, Add2{streamIn(l, "slow", shard, true), 1})
		}
		sleep(10 * time.Second)
		next := runner(openWith(t, store, few), slow, adding)
		start(t, next)
		sleep(7 * time.Second) // a few sweeps, and the grace
		if got := shares(t, next); got[0] != 2 {
			t.Errorf("the runner that has come holds %d shards of 4", got[0])
		}
		for shard := range 4 {
			enqueue(t, l, Add{streamIn(l, "fast", shard, true), 1})
		}
		sleep(2 * time.Second)
		for shard := range 4 {
			if got := added(t, l, streamIn(l, "fast", shard, true)); !slices.Equal(got, []int{1}) {
				t.Errorf("shard %d: %v", shard, got)
			}
		}
		close(release)
		sleep(time.Minute)
		for shard := range 4 {
			if got := added(t, l, streamIn(l, "slow", shard, true)); !slices.Equal(got, []int{1}) {
				t.Errorf("shard %d: the slow one did %v", shard, got)
			}
		}
	})
}

// TestVisitorsKeepOn: of the parked steps of a shard that an older runner holds,
// one that fails, or hangs, keeps none of the others waiting.
func TestVisitorsKeepOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		start(t, runner(openWith(t, store, few), adding))
		sleep(10 * time.Second)
		release := make(chan struct{})
		hangs := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			<-release
			return tx.Append(a.To, Added{a.N})
		}, nil)
		later := outbox.Handler{Type: "test.later", Do: func(tx *eventlog.Tx, s outbox.Raw) error { return tx.Append(s.Stream, Added{1}) }}
		start(t, runner(openWith(t, store, few), adding, hangs, later, failing(&outbox.Policy{Attempts: -1, Backoff: time.Hour, MaxBackoff: time.Hour})))
		for shard := range 4 {
			enqueue(t, l, Fail{streamIn(l, "f", shard, true)}, Add2{streamIn(l, "h", shard, true), 1})
			at(t, l, 0, Fail{streamIn(l, "f", shard, true)})
			at(t, l, 0, Add2{streamIn(l, "h", shard, true), 2})
		}
		sleep(time.Minute)
		for n := range 3 {
			for shard := range 4 {
				enqueue(t, l, named{"test.later", streamIn(l, "n", shard, true), n})
			}
			sleep(20 * time.Second)
			for shard := range 4 {
				if got := added(t, l, streamIn(l, "n", shard, true)); len(got) != n+1 {
					t.Errorf("shard %d: %d of %d ran", shard, len(got), n+1)
				}
			}
		}
		close(release)
		sleep(20 * time.Second)
		for shard := range 4 {
			if got := added(t, l, streamIn(l, "h", shard, true)); len(got) != 2 {
				t.Errorf("shard %d: %v", shard, got)
			}
		}
	})
}

// TestVisitorsHeedStops: a parked step of a target that an ordered one has stopped
// waits like the others, though a visitor could do it.
func TestVisitorsHeedStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, single)
		broken := new(atomic.Bool)
		broken.Store(true)
		ordered := moody(broken, &outbox.Policy{Ordered: true, Attempts: 1})
		later := outbox.Handler{Type: "test.later", Do: func(tx *eventlog.Tx, s outbox.Raw) error { return tx.Append(s.Stream, Added{1}) }}
		start(t, runner(openWith(t, store, single), adding, ordered))
		sleep(10 * time.Second)
		enqueue(t, l, Fail{"a/1"})
		sleep(10 * time.Second)
		enqueue(t, l, named{"test.later", "a/1", nil}, named{"test.later", "b/1", nil}, Add{"a/1", 2})
		start(t, runner(openWith(t, store, single), adding, ordered, later))
		sleep(time.Minute)
		if a, b := added(t, l, "a/1"), added(t, l, "b/1"); len(a) != 0 || len(b) != 1 {
			t.Errorf("a/1: %v, b/1: %v", a, b)
		}
		broken.Store(false)
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		sleep(time.Minute)
		if a := added(t, l, "a/1"); !slices.Equal(a, []int{-1, 2, 1}) {
			t.Errorf("a/1: %v", a)
		}
	})
}
