package outbox_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestOrderedRetriesOverRestarts: however often runners come and go while an
// ordered step waits for its next attempt, nothing overtakes it.
func TestOrderedRetriesOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		broken := new(atomic.Bool)
		broken.Store(true)
		h := moody(broken, &outbox.Policy{Ordered: true, Attempts: -1, Backoff: time.Hour, MaxBackoff: time.Hour})
		enqueue(t, l, Fail{"a/1"})
		for n := range 4 {
			stop := start(t, calm(l, h))
			sleep(time.Minute)
			stop()
			if list := pending(t, l); len(list) != n+1 || !list[0].Stopped || list[0].Type != "test.fail" {
				t.Errorf("after start %d: pending %+v", n+1, list)
			}
			enqueue(t, l, Add{"a/1", n})
		}
		broken.Store(false)
		start(t, calm(l, h))
		sleep(2 * time.Hour)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 0, 1, 2, 3}) {
			t.Errorf("a/1: %v", got)
		}
	})
}

// TestTimerBehindAStop: a timer of a target that was stopped holds nothing up
// when the target goes on, and runs at its time.
func TestTimerBehindAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		broken := new(atomic.Bool)
		broken.Store(true)
		h := moody(broken, &outbox.Policy{Ordered: true, Attempts: 1})
		enqueue(t, l, Fail{"a/1"})
		stop := start(t, calm(l, h))
		sleep(time.Minute)
		at(t, l, 24*time.Hour, Add{"a/1", 1})
		enqueue(t, l, Add{"a/1", 2})
		sleep(time.Minute)
		stop() // they are in cells now
		start(t, calm(l, h))
		broken.Store(false)
		redrive(t, l, outbox.Filter{}, byAnn, 1)
		sleep(2 * time.Minute)
		enqueue(t, l, Add{"a/1", 3})
		sleep(2 * time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 2, 3}) {
			t.Errorf("a/1: %v", got)
		}
		sleep(25 * time.Hour)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 2, 3, 1}) {
			t.Errorf("a/1 at last: %v", got)
		}
	})
}
