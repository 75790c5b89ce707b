package prommetrics_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/prommetrics"
)

type posted struct{ Cents int64 }

func (posted) EventType() string { return "posted" }

var account = eventlog.Model[posted]{Name: "account", Version: 1, Snapshot: 10, Folds: eventlog.Folds[posted]{
	eventlog.On(func(s *posted, e posted) { s.Cents += e.Cents }),
}}

func hooks(t testing.TB, reg prometheus.Registerer) eventlog.Hooks {
	t.Helper()
	h, err := prommetrics.Log(reg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Each number of the log is what the log did.
func TestLog(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	l := eventlogtest.Open(t, &eventlog.Options{Hooks: hooks(t, reg)})
	expect := func(when string, writes, commits, transactions, events float64) {
		t.Helper()
		d, _ := scrape(t, reg, "rollforward_eventlog_write_duration_seconds", nil)
		c, _ := scrape(t, reg, "rollforward_eventlog_write_commits", nil)
		if d.count != writes || c.count != writes || c.sum != commits || (writes > 0) != (d.sum > 0) {
			t.Errorf("%s: durations %+v, commits %+v, want %v writes of %v commits", when, d, c, writes, commits)
		}
		for name, want := range map[string]float64{"transactions": transactions, "events": events} {
			if got := value(t, reg, "rollforward_eventlog_"+name+"_total", nil); got != want {
				t.Errorf("%s: %v %s, want %v", when, got, name, want)
			}
		}
	}
	expect("at first", 0, 0, 0, 0)
	if _, err := l.Append(t.Context(), "a", nil, posted{1}, posted{2}); err != nil {
		t.Fatal(err)
	}
	expect("after an append", 1, 1, 1, 2)
	bytes := value(t, reg, "rollforward_eventlog_bytes_total", nil)
	if bytes < 2 {
		t.Errorf("%v bytes", bytes)
	}
	other := "b"
	for l.ShardOf(other) == l.ShardOf("a") {
		other += "b"
	}
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		return errors.Join(tx.Append("a", posted{3}), tx.Append(other, posted{4}))
	})
	if err != nil {
		t.Fatal(err)
	}
	expect("after an update", 2, 3, 2, 4)
	if now := value(t, reg, "rollforward_eventlog_bytes_total", nil); now <= bytes {
		t.Errorf("%v bytes, then %v", bytes, now)
	}
	// what leaves nothing counts nowhere
	_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error { return errors.Join(tx.Append("a", posted{3}), errors.New("no")) })
	_, conflict := l.Append(t.Context(), "a", &eventlog.AppendOptions{Expect: eventlog.NoStream}, posted{1})
	if err == nil || !errors.Is(conflict, eventlog.ErrConflict) {
		t.Errorf("%v, %v", err, conflict)
	}
	expect("after refusals", 2, 3, 2, 4)
}

// Callers that wait share a write.
func TestLogShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		slow := drivertest.NewFaulty(memlog.Open(), func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				time.Sleep(time.Second) // of the bubble
			}
			return drivertest.Fault{}
		})
		l, err := eventlog.Open(t.Context(), slow, &eventlog.Options{Hooks: hooks(t, reg)})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		for i := range 9 {
			go func() {
				_, err := l.Append(t.Context(), "a", nil, posted{1})
				done <- err
			}()
			if i == 0 {
				synctest.Wait() // the first one is on its way
			}
		}
		for range 9 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		d, _ := scrape(t, reg, "rollforward_eventlog_write_duration_seconds", nil)
		c, _ := scrape(t, reg, "rollforward_eventlog_write_commits", nil)
		if d.count != 2 || d.sum < 2 || d.sum > 2.1 || c.sum != 9 {
			t.Errorf("durations %+v, commits %+v, want 2 writes of a second each with 9 commits", d, c)
		}
		if got := value(t, reg, "rollforward_eventlog_transactions_total", nil); got != 9 {
			t.Errorf("%v transactions, want 9", got)
		}
	})
}

// A function that runs again counts each time.
func TestLogConflicts(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	l := eventlogtest.Open(t, &eventlog.Options{Hooks: hooks(t, reg)})
	runs := 0
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		if _, err := account.Load(tx, "a"); err != nil {
			return err
		}
		if runs++; runs <= 3 {
			if _, err := l.Append(t.Context(), "a", nil, posted{1}); err != nil { // somebody is faster
				return err
			}
		}
		return tx.Append("a", posted{1})
	})
	if err != nil || runs != 4 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if got := value(t, reg, "rollforward_eventlog_conflicts_total", nil); got != 3 {
		t.Errorf("%v conflicts, want 3", got)
	}
}

func TestLogSnapshots(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	l := eventlogtest.Open(t, &eventlog.Options{Hooks: hooks(t, reg)})
	labels := prometheus.Labels{"model": "account"}
	if _, there := scrape(t, reg, "rollforward_eventlog_snapshots_total", labels); there {
		t.Error("a snapshot before there is one")
	}
	for range 25 {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			if _, err := account.Load(tx, "a"); err != nil {
				return err
			}
			return tx.Append("a", posted{1})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil { // waits for them
		t.Fatal(err)
	}
	n, bytes := value(t, reg, "rollforward_eventlog_snapshots_total", labels), value(t, reg, "rollforward_eventlog_snapshot_bytes_total", labels)
	if n < 1 || n > 3 || bytes < 10*n {
		t.Errorf("%v snapshots of %v bytes", n, bytes)
	}
}

// A name that is no text harms nobody.
func TestLabelsAreText(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	hooks(t, reg).Snapshot("a\xff", 5)
	if got := value(t, reg, "rollforward_eventlog_snapshot_bytes_total", prometheus.Labels{"model": "a\uFFFD"}); got != 5 {
		t.Errorf("%v bytes, want 5", got)
	}
}

// Relaxed appends are counted when they are put and when they are folded.
func TestLogRelaxed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	l := eventlogtest.Open(t, &eventlog.Options{FoldAfter: -1, Hooks: hooks(t, reg)})
	for _, cents := range []int64{1, 1, 2} {
		_, err := l.Append(t.Context(), "a", &eventlog.AppendOptions{Relaxed: true, ID: "id"}, posted{cents}, posted{5})
		if err != nil {
			t.Fatal(err)
		}
	}
	puts, _ := scrape(t, reg, "rollforward_eventlog_relaxed_write_appends", nil)
	took, _ := scrape(t, reg, "rollforward_eventlog_relaxed_write_duration_seconds", nil)
	if puts.count != 3 || puts.sum != 3 || took.count != 3 || value(t, reg, "rollforward_eventlog_relaxed_events_total", nil) != 6 {
		t.Errorf("puts %+v, took %+v", puts, took)
	}
	if _, err := l.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, result := range []string{"placed", "repeated", "reused"} {
		if got := value(t, reg, "rollforward_eventlog_folded_appends_total", map[string]string{"result": result}); got != 1 {
			t.Errorf("%v %s", got, result)
		}
	}
	lag, _ := scrape(t, reg, "rollforward_eventlog_fold_lag_seconds", nil)
	if lag.count != 1 || value(t, reg, "rollforward_eventlog_folded_events_total", nil) != 2 {
		t.Errorf("lag %+v", lag)
	}
}
