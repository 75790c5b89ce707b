package sagatest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/race"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type noted struct{ What string }

func (noted) EventType() string { return "test.noted" }

type nothing struct{}

// noting is a step that writes its name down.
func noting(name string) saga.Step[nothing] {
	return saga.Step[nothing]{Name: name, On: func(*nothing) string { return "note/" + name },
		Do:   func(tx *eventlog.Tx, _ *nothing) error { return tx.Append("note/"+name, noted{name}) },
		Undo: func(tx *eventlog.Tx, _ *nothing) error { return tx.Append("note/"+name, noted{"un-" + name}) }}
}

func sagaOf(steps ...saga.Step[nothing]) *saga.Saga[nothing] {
	return &saga.Saga[nothing]{Name: "test", Version: 1, Steps: steps}
}

// A watched is a test that may fail without failing the one that watches it.
type watched struct {
	testing.TB
	failures []string
}

func (w *watched) Helper()             {}
func (w *watched) Logf(string, ...any) {}
func (w *watched) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}
func (w *watched) Error(args ...any)                 { w.Errorf("%s", fmt.Sprint(args...)) }
func (w *watched) Fatal(args ...any)                 { w.Error(args...); runtime.Goexit() }
func (w *watched) Fatalf(format string, args ...any) { w.Errorf(format, args...); runtime.Goexit() }

// failures runs a scenario with one seed and returns what failed, and the calls of the
// store.
func failures(t *testing.T, s *saga.Saga[nothing], o *Options, seed uint64, scenario func(w *World)) (failed, calls []string) {
	t.Helper()
	opts, err := o.fill()
	if err != nil {
		t.Fatal(err)
	}
	opts.trail = func(call string) { calls = append(calls, call) }
	synctest.Test(t, func(t *testing.T) {
		w := &watched{TB: t}
		done := make(chan struct{})
		go func() { // Fatal ends the goroutine
			defer close(done)
			inWorld(w, s.Handlers(), opts, seed, scenario)
		}()
		<-done
		failed = w.failures
	})
	return failed, calls
}

// TestSeedRepeats: a seed makes the same calls of the store in the same order, again and
// again.
func TestSeedRepeats(t *testing.T) {
	if race.Enabled {
		t.Skip("NOT RUN: the race detector makes the scheduler choose at random, so no seed repeats")
	}
	t.Parallel()
	s := sagaOf(noting("one"), saga.Step[nothing]{Name: "wait", Wait: time.Hour}, noting("two"), noting("three"))
	different := map[string]bool{}
	for seed := range uint64(6) {
		repeated := ""
		runs := map[string]bool{}
		for range 20 { // on a busy machine the scheduler interrupts some of them
			failed, calls := failures(t, s, nil, seed, func(w *World) {
				w.When(func(tx *eventlog.Tx) error { return s.Start(tx, "1", nothing{}) })
				w.Sleep(2 * time.Hour)
				Ended(w, s, "1", saga.Completed)
			})
			if len(failed) > 0 || len(calls) < 100 {
				t.Errorf("seed %d: %v after %d calls", seed, failed, len(calls))
			}
			all := strings.Join(calls, "\n")
			if runs[all] {
				repeated = all
				break
			}
			runs[all] = true
		}
		if repeated == "" {
			t.Errorf("seed %d never makes the same run again", seed)
		}
		different[repeated] = true
	}
	if len(different) != 6 {
		t.Errorf("6 seeds made %d different runs", len(different))
	}
}

// TestFindsWhatIsWrong: what is right without faults and wrong with them is found by some
// seed, and what is wrong at once by the plain run.
func TestFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make  func() (*saga.Saga[nothing], func(w *World))
		plain bool // found
		says  string
	}{
		"another state": {func() (*saga.Saga[nothing], func(w *World)) {
			s := sagaOf(noting("one"))
			return s, func(w *World) { Ended(w, s, "1", saga.Compensated) }
		}, true, "test/1 is completed"},
		"other events": {func() (*saga.Saga[nothing], func(w *World)) {
			return sagaOf(noting("one")), func(w *World) { w.Then("note/one", noted{"two"}) }
		}, true, "then: note/one"},
		"no such instance": {func() (*saga.Saga[nothing], func(w *World)) {
			s := sagaOf(noting("one"))
			return s, func(w *World) { Ended(w, s, "2", saga.Completed) }
		}, true, "no such saga instance"},
		"a refused transaction": {func() (*saga.Saga[nothing], func(w *World)) {
			return sagaOf(noting("one")), func(w *World) { w.When(func(*eventlog.Tx) error { return errors.New("no") }) }
		}, true, "when: no"},
		"a step that never ends": {func() (*saga.Saga[nothing], func(w *World)) {
			s := noting("one")
			s.Do = func(*eventlog.Tx, *nothing) error { return errors.New("not yet") }
			s.Policy = outbox.Policy{Attempts: -1}
			return sagaOf(s), func(w *World) { w.Settle() }
		}, true, "is not done after"},
		"an effect outside of the transaction": {func() (*saga.Saga[nothing], func(w *World)) {
			var n atomic.Int64
			s := noting("one")
			s.Do = func(*eventlog.Tx, *nothing) error { n.Add(1); return nil }
			return sagaOf(s), func(w *World) {
				w.Settle()
				if n.Load() != 1 {
					w.Errorf("the effect happened %d times", n.Load())
				}
			}
		}, false, "the effect happened 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(40) {
				s, scenario := test.make()
				failed, _ := failures(t, s, nil, seed, func(w *World) {
					w.When(func(tx *eventlog.Tx) error { return s.Start(tx, "1", nothing{}) })
					scenario(w)
				})
				if found := strings.Contains(strings.Join(failed, "\n"), test.says); found && seed == 0 != test.plain {
					t.Errorf("seed %d finds it: %v", seed, failed)
				} else if found {
					return
				}
			}
			t.Error("it was not found")
		})
	}
}

// TestTroubles: in the runs with seeds all kinds of trouble happen.
func TestTroubles(t *testing.T) {
	t.Parallel()
	s := sagaOf(noting("one"), noting("two"))
	lives, messages := 0, 0
	for seed := range uint64(100) {
		failed, calls := failures(t, s, nil, seed+1, func(w *World) {
			w.When(func(tx *eventlog.Tx) error { return s.Start(tx, "1", nothing{}) })
			Ended(w, s, "1", saga.Completed)
			w.Then("note/one", noted{"one"})
			for _, p := range w.processes {
				lives += p.lives - 1
			}
			if !w.trouble.until.IsZero() {
				messages++
			}
		})
		if len(failed) > 0 || len(calls) == 0 {
			t.Errorf("seed %d: %v", seed+1, failed)
		}
	}
	if lives < 100 || messages < 5 {
		t.Errorf("%d crashes, messages repeated or late in %d runs: this shows little", lives, messages)
	}
}

// TestJump: the clock jumps ahead where that is wanted, by the seed; waits that had to be
// are over then.
func TestJump(t *testing.T) {
	t.Parallel()
	s := sagaOf(noting("one"), saga.Step[nothing]{Name: "wait", Wait: time.Minute}, noting("two"))
	far := 0
	for seed := range uint64(6) {
		failed, _ := failures(t, s, &Options{Jump: 24 * time.Hour}, seed, func(w *World) {
			begin := time.Now()
			w.When(func(tx *eventlog.Tx) error { return s.Start(tx, "1", nothing{}) })
			w.Settle()
			if time.Since(begin) > time.Hour {
				far++
			}
			w.Sleep(time.Hour)
			Ended(w, s, "1", saga.Completed)
		})
		if len(failed) > 0 {
			t.Errorf("seed %d: %v", seed, failed)
		}
	}
	if far < 3 {
		t.Errorf("the clock jumped in %d of 5 runs", far)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Processes: -1}, {Processes: 17}, {Seeds: -2}, {Jump: -1}, {Crash: 0.6}, {Repeat: 1}, {Delay: 2}} {
		if _, err := o.fill(); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
