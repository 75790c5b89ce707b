package outbox_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestTTLOfRetries: the time to live counts from when a step should have run
// first, however often it is tried and whoever tries it.
func TestTTLOfRetries(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"one runner": false, "runners come and go": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				policy := &outbox.Policy{TTL: time.Hour, Attempts: -1, Backoff: 10 * time.Minute, MaxBackoff: 10 * time.Minute}
				call := outbox.Effect(func(context.Context, string, Pay) (outbox.Step, error) { return nil, errFail }, policy)
				r := calm(l, failing(policy), call)
				stop := start(t, r)
				begin := time.Now()
				enqueue(t, l, Fail{"a/1"}, Pay{"b/1", 1})
				at(t, l, 2*time.Hour, Fail{"c/1"})
				for range 12 {
					sleep(20 * time.Minute)
					if restart {
						stop()
						stop = start(t, r)
					}
				}
				list := dead(t, l)
				if len(list) != 3 || len(pending(t, l)) != 0 {
					t.Fatalf("%d dead letters, %d pending", len(list), len(pending(t, l)))
				}
				for _, d := range list {
					last := d.Last.Sub(begin)
					if d.Target == "c/1" {
						last -= 2 * time.Hour
					}
					if !d.Expired || last < time.Hour || last > 70*time.Minute+time.Second {
						t.Errorf("%s is dead after %v: %+v", d.Target, last, d)
					}
				}
			})
		})
	}
}

// TestTTLOfARedrive: a dead letter that is redriven has its time to live anew, also
// one that stops its target.
func TestTTLOfARedrive(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]outbox.Policy{"ordered": {TTL: time.Hour, Ordered: true}, "unordered": {TTL: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				broken := new(atomic.Bool)
				r := calm(l, moody(broken, &policy))
				enqueue(t, l, Fail{"a/1"})
				sleep(2 * time.Hour)
				start(t, r)
				sleep(time.Hour)
				if list := dead(t, l); len(list) != 1 || !list[0].Expired {
					t.Fatalf("dead letters: %+v", list)
				}
				redrive(t, l, outbox.Filter{}, byAnn, 1)
				sleep(time.Minute)
				if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1}) {
					t.Errorf("a/1: %v, dead: %+v", got, dead(t, l))
				}
			})
		})
	}
}

// TestTTLOfAnEffect: an effect that was begun in time counts, however long it took,
// and so does what the store could not be told at once.
func TestTTLOfAnEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l := over(t, faulty, nil)
		calls := 0
		h := outbox.Effect(func(context.Context, string, Pay) (outbox.Step, error) {
			calls++
			time.Sleep(20 * time.Second)
			faulty.Inject(func(c drivertest.Call) drivertest.Fault {
				if c.Write != nil && len(c.Write.Batches) > 0 {
					return drivertest.Fault{Kind: drivertest.Fail}
				}
				return drivertest.Fault{}
			})
			return Add{"a/1", 7}, nil
		}, &outbox.Policy{TTL: 10 * time.Second})
		start(t, calm(l, h))
		enqueue(t, l, Pay{"a/1", 7})
		sleep(5 * time.Minute)
		if faulty.Injected(drivertest.Fail) == 0 {
			t.Error("the store failed nothing")
		}
		faulty.Inject(nil)
		sleep(time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{7}) || calls != 1 {
			t.Errorf("%v after %d calls; dead: %+v", got, calls, dead(t, l))
		}
	})
}
