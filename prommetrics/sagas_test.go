package prommetrics_test

import (
	"context"
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
	"github.com/rollforward/rollforward/saga"
)

// visit waits to be told, and can be undone unless it is told so.
var visit = &saga.Saga[string]{Name: "visit", Version: 1, Steps: saga.Steps[string]{{
	Name: "come",
	On:   func(s *string) string { return "guest/" + *s },
	Do:   func(tx *eventlog.Tx, s *string) error { return tx.Append("guest/"+*s, posted{1}) },
	Undo: func(tx *eventlog.Tx, s *string) error {
		if *s == "stays" {
			return outbox.Abort(errRefused)
		}
		return tx.Append("guest/"+*s, posted{-1})
	},
}, {
	Name: "wait", Signal: saga.On("go", func(*string, string) error { return nil }),
}}}

func count(t testing.TB, c *saga.Census) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	return stop
}

// Each number of sagas goes up and comes down with what it measures, and the steps of
// sagas are timed by their types.
func TestSagas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		store := memlog.NewStore()
		l, err := eventlog.Open(t.Context(), store.Open(), &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		faulty := drivertest.NewFaulty(store.Open(), nil)
		own, err := eventlog.Open(t.Context(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		c := &saga.Census{Log: own}
		if err := prommetrics.Sagas(reg, c); err != nil {
			t.Fatal(err)
		}
		runner := &outbox.Runner{Log: l, Handlers: visit.Handlers()}
		if err := prommetrics.Outbox(reg, runner); err != nil {
			t.Fatal(err)
		}
		do := func(steps ...outbox.Step) {
			t.Helper()
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				for _, s := range steps {
					if err := outbox.Enqueue(tx, s); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil {
				err = runner.Drain(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		expect := func(when string, healthy float64, want map[saga.State]float64) {
			t.Helper()
			time.Sleep(5 * time.Second)
			if got := value(t, reg, "rollforward_saga_census_healthy", nil); got != healthy {
				t.Errorf("%s: healthy is %v, want %v", when, got, healthy)
			}
			for _, state := range []saga.State{saga.Awaited, saga.Running, saga.Compensating, saga.Parked, saga.Completed, saga.Compensated, saga.Cancelled} {
				s, there := scrape(t, reg, "rollforward_saga_instances", prometheus.Labels{"saga": "visit", "state": string(state), "shard": "0"})
				if there != (want != nil) || s.value != want[state] {
					t.Errorf("%s: %v are %s (there: %t), want %v", when, s.value, state, there, want[state])
				}
			}
		}
		lag := func(when string, want float64) {
			t.Helper()
			s, there := scrape(t, reg, "rollforward_saga_census_lag_seconds", prometheus.Labels{"shard": "0"})
			if there != (want >= 0) || there && (s.value < want || s.value > want+1) {
				t.Errorf("%s: a lag of %v (there: %t), want %v", when, s.value, there, want)
			}
		}
		expect("before it runs", 0, nil)
		lag("before it runs", -1)
		stop := count(t, c)
		expect("no saga is known", 1, nil)
		lag("no saga is known", 0)
		do(saga.Signal{Saga: "visit", ID: "7", Name: "other"})
		expect("a signal", 1, map[saga.State]float64{saga.Awaited: 1})
		do(visit.Begin("1", "a"), visit.Begin("2", "b"), visit.Begin("3", "stays"), visit.Begin("7", "c"))
		expect("begun", 1, map[saga.State]float64{saga.Running: 4})
		for typ, n := range map[string]float64{"$saga/visit/come/do": 4, "$saga/visit/reply": 4, "$saga/visit/begin": 4} {
			if s, _ := scrape(t, reg, "rollforward_outbox_step_duration_seconds", prometheus.Labels{"type": typ}); s.count != n {
				t.Errorf("%v steps of type %s are timed, want %v", s.count, typ, n)
			}
		}
		do(saga.Signal{Saga: "visit", ID: "1", Name: "go"}, saga.Cancel{Saga: "visit", ID: "2"}, saga.Cancel{Saga: "visit", ID: "3"})
		expect("three have ended", 1, map[saga.State]float64{saga.Running: 1, saga.Completed: 1, saga.Cancelled: 1, saga.Parked: 1})
		lag("three have ended", 0)
		do(saga.Skip{Saga: "visit", ID: "3", Reason: "a test"})
		expect("skipped", 1, map[saga.State]float64{saga.Running: 1, saga.Completed: 1, saga.Cancelled: 2})

		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				return drivertest.Fault{}
			}
			return drivertest.Fault{Kind: drivertest.Fail}
		})
		expect("without a store", 0, nil)
		lag("without a store", -1)
		faulty.Inject(nil)
		time.Sleep(10 * time.Second)
		expect("the store is back", 1, map[saga.State]float64{saga.Running: 1, saga.Completed: 1, saga.Cancelled: 2})
		stop()
		expect("it has stopped", 0, nil)
		lag("it has stopped", -1)
		do(saga.Cancel{Saga: "visit", ID: "7"})
		c2 := &saga.Census{Log: l}
		reg2 := prometheus.NewRegistry()
		if err := prommetrics.Sagas(reg2, c2); err != nil {
			t.Fatal(err)
		}
		reg = reg2
		defer count(t, c2)()
		expect("another goes on", 1, map[saga.State]float64{saga.Completed: 1, saga.Cancelled: 3})
	})
}

// The lag is the age of what is not counted.
func TestSagasLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		c := &saga.Census{Log: l, Sweep: time.Minute}
		if err := prommetrics.Sagas(reg, c); err != nil {
			t.Fatal(err)
		}
		defer count(t, c)()
		time.Sleep(2 * time.Minute)
		if _, err := l.Append(t.Context(), "a", nil, posted{1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		shard := prometheus.Labels{"shard": "0"}
		if got := value(t, reg, "rollforward_saga_census_lag_seconds", shard); got < 29 || got > 31 {
			t.Errorf("a lag of %v after 30 s", got)
		}
		time.Sleep(time.Minute)
		if got := value(t, reg, "rollforward_saga_census_lag_seconds", shard); got != 0 {
			t.Errorf("a lag of %v when all is counted", got)
		}
	})
}

func TestSagasNeedACensus(t *testing.T) {
	t.Parallel()
	if err := prommetrics.Sagas(prometheus.NewRegistry(), nil); err == nil {
		t.Error("no census was taken")
	}
	reg := prometheus.NewRegistry()
	if err := prommetrics.Sagas(reg, new(saga.Census)); err != nil {
		t.Fatal(err)
	}
	if err := prommetrics.Sagas(reg, new(saga.Census)); err == nil {
		t.Error("a second census without a label of its own was taken")
	}
}
