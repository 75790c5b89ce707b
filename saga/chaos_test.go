package saga_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

// seeds is how many runs with faults these tests make.
func seeds(n int) *sagatest.Options {
	if os.Getenv("ROLLFORWARD_SOAK") == "1" {
		n *= 50
	}
	return &sagatest.Options{Seeds: n, Repeat: 0.2, Delay: 0.2}
}

// TestChaosOfFanOuts: whatever goes wrong, as many children count as are needed, each
// once, and all others leave nothing behind.
func TestChaosOfFanOuts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		saga  *saga.Saga[count]
		state saga.State
		out   int // errands that are not undone
	}{
		"all":       {round(adding("one"), fanOut(0, "a b c d e"), adding("two")), saga.Completed, 5},
		"two":       {round(adding("one"), fanOut(2, "a b=wait c d e=refuse"), adding("two")), saga.Completed, 2},
		"undone":    {round(adding("one"), fanOut(2, "a b=wait c d e=refuse"), refusing("two")), saga.Compensated, 0},
		"in vain":   {round(adding("one"), fanOut(0, "a b=wait c d=refuse"), adding("two")), saga.Compensated, 0},
		"the child": {round(adding("one"), sendOut(""), refusing("two")), saga.Compensated, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sagatest.Run(t, both(test.saga, errands), seeds(10), func(w *sagatest.World) {
				w.When(func(tx *eventlog.Tx) error { return test.saga.Start(tx, "x", count{}) })
				st := sagatest.Ended(w, test.saga, "x", test.state)
				if out := balance(w, w.EventLog()); len(out) != test.out {
					w.Errorf("out: %v", out)
				}
				if n := len(st.Data.Log); test.state == saga.Completed && n != test.out+2 {
					w.Errorf("counted: %v", st.Data.Log)
				}
				recount(w, w.EventLog())
			})
		})
	}
}

// TestChaosOfStops: a transfer that is cancelled, skipped over or timed out while all goes
// wrong loses no money and makes none.
func TestChaosOfStops(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]outbox.Step{
		"cancel": saga.Cancel{Saga: "transfer", ID: "1", By: "ann"}, "skip": saga.Skip{Saga: "transfer", ID: "1", Reason: "r"}, "timeout": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := transfer
			s.Steps = slices.Clone(transfer.Steps)
			if step == nil {
				for i := range s.Steps {
					s.Steps[i].Timeout = 700 * time.Millisecond
				}
			}
			sagatest.Run(t, s.Handlers(), seeds(20), func(w *sagatest.World) {
				w.Given("account/a", Opened{}, Posted{100})
				w.Given("account/b", Opened{}, Posted{0})
				w.When(func(tx *eventlog.Tx) error {
					return s.Start(tx, "1", Transfer{"account/a", "account/b", 70})
				})
				if step != nil {
					w.Send(step)
				}
				w.Settle()
				st := status(w, w.EventLog(), &s, "1")
				a, b := sum(postings(w, w.EventLog(), "account/a")), sum(postings(w, w.EventLog(), "account/b"))
				debited, credited := slices.Contains(st.Done, "debit"), slices.Contains(st.Done, "credit")
				if !st.State.Ended() || debited != (a == 30) || credited != (b == 70) || st.State != saga.Completed && len(st.Done) > 0 {
					w.Errorf("%s, done %v with %d and %d: %v", st.State, st.Done, a, b, st.Err)
				}
				recount(w, w.EventLog())
			})
		})
	}
}

// TestChaosOfSignals: signals that come early, late and twice are each taken once, in
// order; waits take as long as they say; who waits in vain goes another way.
func TestChaosOfSignals(t *testing.T) {
	t.Parallel()
	fails := with(adding("flaky"), func(s *saga.Step[count]) {
		do := s.Do
		s.Do = func(tx *eventlog.Tx, c *count) error {
			if tx.Time().Nanosecond()%3 == 0 { // at times
				return errors.New("not now")
			}
			return do(tx, c)
		}
	})
	s := round(adding("one"), hear("a"), fails, saga.Step[count]{Name: "pause", Wait: time.Hour}, hear("b"),
		with(hear("c"), func(s *saga.Step[count]) { s.Timeout, s.OnTimeout = time.Hour, "three" }), adding("two"), adding("three"))
	s.Deadline = 24 * time.Hour
	sagatest.Run(t, s.Handlers(), seeds(20), func(w *sagatest.World) {
		w.Send(say("b", "1", "early"))
		w.When(func(tx *eventlog.Tx) error { return s.Start(tx, "x", count{}) })
		w.Send(say("a", "1", "x"), say("a", "1", "x"), say("z", "1", "x"))
		begin := time.Now()
		w.Sleep(3 * time.Hour)
		w.Send(say("c", "1", "too late"))
		st := sagatest.Ended(w, s, "x", saga.Completed)
		if log := strings.Join(st.Data.Log, " "); log != "one a:x flaky b:early three" {
			w.Errorf("%s", log)
		}
		if took := time.Since(begin); took < 2*time.Hour {
			w.Errorf("it took %v", took)
		}
		for _, name := range []string{"one", "flaky", "three"} {
			w.Then("note/"+name, noted{name})
		}
		w.Sleep(24 * time.Hour) // the deadline is no more
		sagatest.Ended(w, s, "x", saga.Completed)
	})
}

// TestChaosOfCalls: a provider that answers late, twice and not at all takes each payment
// once, and gives it back where the saga goes back.
func TestChaosOfCalls(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]saga.Step[count]{"completed": adding("two"), "recalled": refusing("two")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &provider{}
			pay := with(p.pay(), func(s *saga.Step[count]) { s.Policy.Attempts = -1 })
			s := round(adding("one"), pay, then)
			n := 0
			sagatest.Run(t, s.Handlers(), seeds(10), func(w *sagatest.World) {
				n++
				p.mu.Lock()
				p.taken, p.calls = nil, nil
				p.fail = func(call int) error {
					switch (call + n) % 3 {
					case 0:
						return errors.New("not now")
					case 1:
						return afterwards{errors.New("no answer")}
					}
					return nil
				}
				p.mu.Unlock()
				w.When(func(tx *eventlog.Tx) error { return s.Start(tx, "x", count{}) })
				w.Settle()
				st := status(w, w.EventLog(), s, "x")
				want := map[string]int{"completed": 1}[name]
				if len(p.taken) != 1 || p.sum() != want || !st.State.Ended() {
					w.Errorf("%s: %v, taken %v after %v", st.State, st.Err, p.taken, p.calls)
				}
			})
		})
	}
}
