package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// one is a log with one shard.
var one = &eventlog.Options{Shards: 1}

// shardInfo returns what a runner knows of the only shard, ages to the second.
func shardInfo(t testing.TB, r *outbox.Runner) outbox.ShardInfo {
	t.Helper()
	synctest.Wait()
	s, err := r.Status(context.Background())
	if err != nil || len(s.Shards) != 1 || !s.Running {
		t.Fatalf("status %+v, %v", s, err)
	}
	i := s.Shards[0]
	i.Oldest = i.Oldest.Round(time.Second)
	return i
}

// TestStatusCounts: what could run, what waits, what is overdue, parked and
// stopped is counted, also when more is due than fits in hand.
func TestStatusCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, one)
		gate := make(chan struct{})
		held := outbox.On(func(tx *eventlog.Tx, a Add) error {
			select {
			case <-gate:
				return tx.Append(a.To, Added{a.N})
			case <-tx.Context().Done():
				return tx.Context().Err()
			}
		}, nil)
		r := runner(l, held, failing(&outbox.Policy{Ordered: true, Backoff: time.Hour, MaxBackoff: time.Hour}))
		r.ReadAhead, r.Targets, r.Batch, r.Sweep = 8, 1, 1, time.Second
		start(t, r)
		expect := func(when string, want outbox.ShardInfo) {
			t.Helper()
			want.Held = true
			if diff := cmp.Diff(want, shardInfo(t, r)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		expect("at first", outbox.ShardInfo{})
		enqueue(t, l, Fail{"s/1"}, Add{"s/1", 1}, Relay{Way: []string{"p/1"}})
		sleep(time.Second)
		expect("one failed", outbox.ShardInfo{Parked: 1, Stopped: 2})
		for n := range 40 {
			at(t, l, 10*time.Minute, Add{fmt.Sprintf("t/%d", n), n})
		}
		sleep(time.Minute)
		expect("timers wait", outbox.ShardInfo{Parked: 1, Stopped: 2, Waiting: 40})
		sleep(9*time.Minute + 5*time.Second)
		expect("timers are overdue", outbox.ShardInfo{Parked: 1, Stopped: 2, Backlog: 40, Due: 40, Oldest: 5 * time.Second})
		enqueue(t, l, Add{"t/100", 1})
		sleep(time.Second)
		expect("with another one", outbox.ShardInfo{Parked: 1, Stopped: 2, Backlog: 41, Due: 40, Oldest: 6 * time.Second})
		close(gate)
		sleep(time.Second)
		expect("all have run", outbox.ShardInfo{Parked: 1, Stopped: 2})
	})
}

// TestSweepLag: it is nothing at first and while sweeps go well, and grows while
// they do not.
func TestSweepLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), faulty, one)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		gate := make(chan struct{})
		hang := func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				return drivertest.Fault{Before: gate}
			}
			return drivertest.Fault{}
		}
		faulty.Inject(hang)
		r := runner(l, adding)
		r.Sweep, r.Lease = time.Second, time.Minute
		stop := start(t, r)
		defer stop()
		expect := func(when string, lag time.Duration, healthy bool) {
			t.Helper()
			synctest.Wait()
			s, err := r.Status(t.Context())
			if err != nil || s.Lag.Round(time.Second) != lag {
				t.Errorf("%s: lag %v, want %v; %v", when, s.Lag, lag, err)
			}
			if err := r.Health(t.Context()); (err == nil) != healthy {
				t.Errorf("%s: health %v", when, err)
			}
		}
		expect("at first", 0, true)
		time.Sleep(11 * time.Second)
		expect("when the first one hangs", 10*time.Second, true)
		time.Sleep(30 * time.Second)
		expect("when it hangs for long", 40*time.Second, false)
		close(gate)
		faulty.Inject(nil)
		sleep(2 * time.Second)
		expect("when it went well", 0, true)
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			return drivertest.Fault{Kind: drivertest.Fail, Err: errors.New("no store")}
		})
		sleep(21 * time.Second)
		expect("when they fail", 20*time.Second, false)
		faulty.Inject(nil)
		sleep(time.Minute)
		expect("in the end", 0, true)
	})
}
