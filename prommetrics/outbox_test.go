package prommetrics_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/prommetrics"
)

// credit is a step. More than one is credited by one commit.
type credit struct {
	To string
	N  int
}

func (credit) StepType() string { return "credit" }
func (c credit) Target() string { return c.To }

var creditHandler = outbox.On(doCredit, nil)

func doCredit(tx *eventlog.Tx, c credit) error {
	if c.N < 0 {
		return errRefused
	}
	if err := tx.Append(c.To, posted{1}); err != nil || c.N <= 1 {
		return err
	}
	return outbox.Enqueue(tx, credit{c.To, c.N - 1})
}

// run runs r until the test ends, or the returned function is called.
func run(t testing.TB, r *outbox.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// numbers are metrics of the outbox by name and labels, as in
// `steps_total{type="credit"}`, and what they should be.
type numbers map[string]float64

func (want numbers) expect(t testing.TB, reg prometheus.Gatherer, when string) {
	t.Helper()
	for what, number := range want {
		name, rest, _ := strings.Cut(what, "{")
		labels := prometheus.Labels{}
		for pair := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), ",") {
			if k, v, ok := strings.Cut(pair, "="); ok {
				labels[k] = v
			}
		}
		part := ""
		if i := strings.LastIndex(name, ":"); i >= 0 {
			name, part = name[:i], name[i+1:]
		}
		s, there := scrape(t, reg, "rollforward_outbox_"+name, labels)
		got := s.value
		switch part {
		case "count":
			got = s.count
		case "sum":
			got = s.sum
		}
		if missing := math.IsNaN(number); missing && there || !missing && (!there || math.Round(got*10)/10 != number) {
			t.Errorf("%s: %s is %v (there: %t), want %v", when, what, got, there, number)
		}
	}
}

var none = math.NaN()

// Each number of the outbox goes up and comes down with what it measures.
func TestOutbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		gate := make(chan struct{})
		slow := outbox.Handler{Type: "slow", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
			select {
			case <-gate:
				return tx.Append(s.Stream, posted{1})
			case <-tx.Context().Done():
				return tx.Context().Err()
			}
		}}
		policy := outbox.Policy{Attempts: 2, Backoff: time.Hour, MaxBackoff: time.Hour}
		failing := func(typ string, failed func(*eventlog.Tx, outbox.Raw, error) error, ordered bool) outbox.Handler {
			h := outbox.Handler{Type: typ, Do: func(*eventlog.Tx, outbox.Raw) error { return errRefused }, Failed: failed, Policy: policy}
			h.Policy.Ordered = ordered
			return h
		}
		late := outbox.Handler{Type: "late", Do: slow.Do, Policy: outbox.Policy{TTL: time.Minute}}
		r := &outbox.Runner{Log: l, Sweep: time.Second, Handlers: []outbox.Handler{creditHandler, slow, late,
			failing("fails", nil, false), failing("stops", nil, true),
			failing("refused", func(*eventlog.Tx, outbox.Raw, error) error { return nil }, false)}}
		seen := 0
		r.Hooks.Step = func(outbox.StepInfo) { seen++ }
		if err := prommetrics.Outbox(reg, r); err != nil {
			t.Fatal(err)
		}
		enqueue := func(steps ...outbox.Step) {
			t.Helper()
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) (err error) {
				for _, s := range steps {
					err = errors.Join(err, outbox.Enqueue(tx, s))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		raw := func(typ, target string) outbox.Step {
			return outbox.Raw{Type: typ, Stream: target, Data: []byte("{}")}
		}
		sleep := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		numbers{"healthy": 0, "runners": none, "held_shards": none, "sweep_lag_seconds": none, "backlog{shard=0}": none, "held{shard=0}": none}.
			expect(t, reg, "before it runs")
		stop := run(t, r)
		sleep(1500 * time.Millisecond)
		numbers{"healthy": 1, "runners": 1, "held_shards": 1, "sweep_lag_seconds": 0, "held{shard=0}": 1,
			"backlog{shard=0}": 0, "oldest_seconds{shard=0}": 0, "due{shard=0}": 0, "waiting{shard=0}": 0, "parked{shard=0}": 0, "stopped{shard=0}": 0,
			"steps_total{type=credit,outcome=done}": 0, "shard_steps_total{shard=0,outcome=done}": 0, "steps_total{type=fails,outcome=dead}": 0, "steps_total{type=late,outcome=expired}": 0,
		}.expect(t, reg, "at first")

		enqueue(credit{"a", 3})
		sleep(time.Second)
		numbers{"steps_total{type=credit,outcome=done}": 3, "shard_steps_total{shard=0,outcome=done}": 3, "linked_steps_total{type=credit}": 2, "batch_steps:count{shard=0}": 1,
			"batch_steps:sum{shard=0}": 3, "commit_duration_seconds:count{shard=0}": 1, "step_duration_seconds:count{type=credit}": 1, "backlog{shard=0}": 0,
			"step_latency_seconds:count{type=credit}": 1}.expect(t, reg, "a chain has run")

		enqueue(raw("slow", "s/1"), raw("slow", "s/2"), raw("unknown", "u"))
		sleep(10 * time.Second)
		numbers{"backlog{shard=0}": 2, "oldest_seconds{shard=0}": 10, "due{shard=0}": 0, "parked{shard=0}": 1, "sweep_lag_seconds": 0,
			"step_duration_seconds:count{type=slow}": none}.expect(t, reg, "two are held up")
		gate <- struct{}{}
		gate <- struct{}{}
		sleep(0)
		numbers{"backlog{shard=0}": 0, "oldest_seconds{shard=0}": 0, "steps_total{type=slow,outcome=done}": 2, "shard_steps_total{shard=0,outcome=done}": 5, "step_duration_seconds:count{type=slow}": 2,
			"step_latency_seconds:sum{type=slow}": 20}.expect(t, reg, "they are done")

		enqueue(raw("fails", "f"), raw("refused", "f"), raw("stops", "o"), raw("slow", "o"))
		sleep(time.Second)
		numbers{"steps_total{type=fails,outcome=failed}": 1, "steps_total{type=refused,outcome=failed}": 1, "steps_total{type=fails,outcome=dead}": 0,
			"waiting{shard=0}": 2, "stopped{shard=0}": 2, "backlog{shard=0}": 0}.expect(t, reg, "attempts failed")
		sleep(time.Hour)
		numbers{"steps_total{type=fails,outcome=dead}": 1, "steps_total{type=refused,outcome=refused}": 1, "steps_total{type=stops,outcome=dead}": 1, "shard_steps_total{shard=0,outcome=dead}": 2, "shard_steps_total{shard=0,outcome=failed}": 3,
			"waiting{shard=0}": 0, "stopped{shard=0}": 2, "step_latency_seconds:count{type=fails}": none}.expect(t, reg, "they are dead")
		if n, err := outbox.Discard(t.Context(), l, outbox.Filter{Type: "stops"}, outbox.Decision{By: "ann", Why: "a test"}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		sleep(time.Minute)
		numbers{"stopped{shard=0}": 0, "backlog{shard=0}": 1}.expect(t, reg, "the target goes on")
		gate <- struct{}{}

		timer := outbox.Timer{Target: "t", Name: "alarm"}
		if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			return timer.Set(tx, l.Now().Add(time.Hour), raw("slow", "t"))
		}); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute)
		numbers{"waiting{shard=0}": 1, "due{shard=0}": 0, "backlog{shard=0}": 0}.expect(t, reg, "a timer waits")
		sleep(time.Hour)
		numbers{"waiting{shard=0}": 0, "due{shard=0}": 1, "backlog{shard=0}": 1, "oldest_seconds{shard=0}": 60}.expect(t, reg, "it is due")
		gate <- struct{}{}
		sleep(0)
		numbers{"due{shard=0}": 0, "backlog{shard=0}": 0}.expect(t, reg, "it has run")

		if seen != 13 {
			t.Errorf("the hook that was there was called %d times", seen)
		}
		stop()
		numbers{"healthy": 0, "held{shard=0}": none, "backlog{shard=0}": none}.expect(t, reg, "when it has stopped")
		enqueue(raw("late", "l"))
		sleep(time.Hour)
		run(t, r)
		sleep(time.Second)
		numbers{"steps_total{type=late,outcome=expired}": 1, "healthy": 1, "held_shards": 1}.expect(t, reg, "when it runs again")
	})
}

// Leases and the sweep: shards move between runners, and a store that hangs is
// seen.
func TestOutboxLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		faulty := drivertest.NewFaulty(store.Open(), nil)
		start := func(log *eventlog.Log) (*prometheus.Registry, func()) {
			reg := prometheus.NewRegistry()
			r := &outbox.Runner{Log: log, Handlers: []outbox.Handler{creditHandler}}
			if err := prommetrics.Outbox(reg, r); err != nil {
				t.Fatal(err)
			}
			return reg, run(t, r)
		}
		first, err := eventlog.Open(t.Context(), faulty, &eventlog.Options{Shards: 4})
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		second, err := eventlog.Open(t.Context(), store.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		reg1, stop1 := start(first)
		defer stop1()
		time.Sleep(time.Minute)
		numbers{"runners": 1, "held_shards": 4, "held{shard=3}": 1}.expect(t, reg1, "alone")
		reg2, stop2 := start(second)
		time.Sleep(time.Minute)
		numbers{"runners": 2, "held_shards": 2}.expect(t, reg1, "the first of two")
		numbers{"runners": 2, "held_shards": 2}.expect(t, reg2, "the second of two")
		stop2()
		time.Sleep(time.Minute)
		numbers{"runners": 1, "held_shards": 4, "healthy": 1, "sweep_lag_seconds": 0, "store_errors_total{shard=leases}": none}.expect(t, reg1, "alone again")
		faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		time.Sleep(time.Minute + 500*time.Millisecond)
		numbers{"healthy": 0, "held_shards": 0, "held{shard=0}": none}.expect(t, reg1, "without a store")
		if lag := value(t, reg1, "rollforward_outbox_sweep_lag_seconds", nil); lag < 58 || lag > 60 {
			t.Errorf("a lag of %v s after a minute without a store", lag)
		}
		if n := value(t, reg1, "rollforward_outbox_store_errors_total", prometheus.Labels{"shard": "leases"}); n < 50 {
			t.Errorf("%v errors of the leases", n)
		}
		faulty.Inject(nil)
		time.Sleep(time.Minute)
		numbers{"healthy": 1, "held_shards": 4, "sweep_lag_seconds": 0}.expect(t, reg1, "when the store is back")
	})
}

func TestOutboxNeedsARunner(t *testing.T) {
	t.Parallel()
	if err := prommetrics.Outbox(prometheus.NewRegistry(), nil); err == nil {
		t.Error("no runner was taken")
	}
	reg := prometheus.NewRegistry()
	r := new(outbox.Runner)
	if err := prommetrics.Outbox(reg, r); err != nil {
		t.Fatal(err)
	}
	other := new(outbox.Runner)
	if err := prommetrics.Outbox(reg, other); err == nil || other.Hooks.Step != nil {
		t.Errorf("a second runner without a label of its own: %v", err)
	}
}
