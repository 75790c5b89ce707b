package saga_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// errand is the data of the children of these tests. Each notes what it does in a
// stream of its own.
type errand struct {
	Key  string
	Do   string // "", "refuse", "wait", "park"
	Done int
}

func (e *errand) stream() string { return "errand/" + e.Key }

var errands = &saga.Saga[errand]{Name: "errand", Version: 1, Steps: saga.Steps[errand]{{
	Name: "go",
	On:   (*errand).stream,
	Do: func(tx *eventlog.Tx, e *errand) error {
		e.Done++
		return tx.Append(e.stream(), noted{"go"})
	},
	Undo: func(tx *eventlog.Tx, e *errand) error {
		e.Done--
		return tx.Append(e.stream(), noted{"come back"})
	},
	Next: func(e *errand) string {
		switch e.Do {
		case "wait":
			return "wait"
		case "park":
			return "nowhere"
		}
		return "do"
	}, Routes: []string{"do", "wait"},
}, {
	Name: "wait", Signal: saga.On("go on", func(*errand, struct{}) error { return nil }),
}, {
	Name: "do",
	On:   (*errand).stream,
	Do: func(tx *eventlog.Tx, e *errand) error {
		if e.Do == "refuse" {
			return outbox.Abort(errors.New(e.Key + " refuses"))
		}
		e.Done++
		return tx.Append(e.stream(), noted{"done"})
	},
	Undo: func(tx *eventlog.Tx, e *errand) error {
		e.Done--
		return tx.Append(e.stream(), noted{"undone"})
	},
}}}

// balance says how many errands are out: what went and did not come back.
func balance(t testing.TB, l *eventlog.Log) (out []string) {
	t.Helper()
	sum := map[string]int{}
	for r, err := range l.Read(t.Context(), eventlog.Query{Category: "errand"}) {
		if err != nil {
			t.Fatal(err)
		}
		sum[strings.TrimPrefix(r.Stream, "errand/")] += map[string]int{`{"What":"go"}`: 1, `{"What":"come back"}`: -1}[string(r.Data)]
	}
	for k, n := range sum {
		if n < 0 || n > 1 {
			t.Errorf("errand %s went %d times", k, n)
		}
		if n > 0 {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// sendOut is a step that waits for an errand.
func sendOut(do string) saga.Step[count] {
	return saga.Step[count]{Name: "errand", Child: saga.Run(errands, func(c *count, _ string) errand { return errand{Key: "k", Do: do} },
		func(c *count, _ string, e errand) error {
			c.Log = append(c.Log, fmt.Sprint("errand:", e.Done))
			return nil
		})}
}

func both(a *saga.Saga[count], b *saga.Saga[errand]) []outbox.Handler {
	return append(a.Handlers(), b.Handlers()...)
}

// TestChild: a step waits for a child's end and takes over what it came to; a child
// that is refused refuses the step; one that had completed goes back with its parent.
func TestChild(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		saga  *saga.Saga[count]
		state saga.State
		log   string
		child saga.State
		out   string
	}{
		"completed": {round(adding("one"), sendOut(""), adding("two")), saga.Completed, "one errand:2 two", saga.Completed, "k"},
		"refused":   {round(adding("one"), sendOut("refuse"), adding("two")), saga.Compensated, "one un-one", saga.Compensated, ""},
		"goes back": {round(adding("one"), sendOut(""), refusing("two")), saga.Compensated, "one errand:2 un-one", saga.Cancelled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			start(t, l, test.saga, "x", count{})
			drain(t, l, both(test.saga, errands)...)
			st := status(t, l, test.saga, "x")
			if st.State != test.state || strings.Join(st.Data.Log, " ") != test.log {
				t.Errorf("%s: %v %v", st.State, st.Data, st.Err)
			}
			if test.child == saga.Compensated && (st.Refused != "errand" || st.Err.Error() != "k refuses") {
				t.Errorf("%s: %v", st.Refused, st.Err)
			}
			c := status(t, l, errands, "x/errand.2")
			if c.State != test.child || c.Parent != "$saga-round/x" || c.Chain != st.Chain {
				t.Errorf("%+v", c)
			}
			if got := strings.Join(balance(t, l), " "); got != test.out {
				t.Errorf("out: %s", got)
			}
			leftovers(t, l)
		})
	}
}

// TestChildUnderWay: a parent that goes back while its child is under way calls it
// back, in whatever state it is, and waits for it; one that skips the step goes on then.
func TestChildUnderWay(t *testing.T) {
	t.Parallel()
	cancel := saga.Cancel{Saga: "round", ID: "x"}
	for name, test := range map[string]struct {
		do    string
		begin []string // handlers that run before
		send  outbox.Step
		state saga.State
		log   string
	}{
		"cancel one that waits":           {"wait", []string{""}, cancel, saga.Cancelled, "one un-one"},
		"cancel one that is parked":       {"park", []string{""}, cancel, saga.Cancelled, "one un-one"},
		"cancel one that was not begun":   {"", []string{"one/do", "reply"}, cancel, saga.Cancelled, "one un-one"},
		"cancel one that is at work":      {"", []string{"one/do", "reply", "begin"}, cancel, saga.Cancelled, "one un-one"},
		"cancel one that has done a step": {"", []string{"one/do", "reply", "begin", "go/do"}, cancel, saga.Cancelled, "one un-one"},
		"cancel one that has completed":   {"", []string{"one/do", "reply", "begin", "go/do", "do/do"}, cancel, saga.Cancelled, "one un-one"},
		"skip one that waits":             {"wait", []string{""}, saga.Skip{Saga: "round", ID: "x", Reason: "r"}, saga.Completed, "one two"},
		"skip one that was not begun":     {"", []string{"one/do", "reply"}, saga.Skip{Saga: "round", ID: "x", Reason: "r"}, saga.Completed, "one two"},
		"cancel the child itself":         {"wait", []string{""}, saga.Cancel{Saga: "errand", ID: "x/errand.2", By: "ann"}, saga.Compensated, "one un-one"},
	} {
		// Which of the handlers run first behind it.
		for _, first := range [][]string{{""}, {"cancel", "recall"}, {"cancel", "skip", "begin", "reply", "do"}, {"cancel", "skip", "recall", "begin"}} {
			t.Run(fmt.Sprint(name, first), func(t *testing.T) {
				t.Parallel()
				l := eventlogtest.New(t)
				s := round(adding("one"), sendOut(test.do), adding("two"))
				all := both(s, errands)
				start(t, l, s, "x", count{})
				drain(t, l, only(all, test.begin...)...)
				send(t, l, test.send)
				drain(t, l, only(all, first...)...)
				drain(t, l, all...)
				leftovers(t, l)
				st := status(t, l, s, "x")
				log, out := strings.Join(st.Data.Log, " "), balance(t, l)
				first := len(first) == 1 || strings.HasPrefix(name, "skip") && !slices.Contains(first, "skip")
				if first && st.State == saga.Completed && log == "one errand:2 two" && len(out) == 1 {
					return // the child was the first
				}
				if st.State != test.state || log != test.log || len(out) > 0 {
					t.Errorf("%s: %v %v, out: %v", st.State, log, st.Err, out)
				}
			})
		}
	}
}

// TestChildTimeout: a child that takes too long is called back.
func TestChildTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		s := round(adding("one"), with(sendOut("wait"), func(s *saga.Step[count]) { s.Timeout, s.OnTimeout = time.Hour, "three" }), adding("two"), adding("three"))
		start(t, l, s, "x", count{})
		for range 2 {
			drain(t, l, both(s, errands)...)
			time.Sleep(2 * time.Hour)
		}
		if st := status(t, l, s, "x"); st.State != saga.Completed || strings.Join(st.Data.Log, " ") != "one three" || len(balance(t, l)) > 0 {
			t.Errorf("%s: %v", st.State, st.Data)
		}
		leftovers(t, l)
	})
}

// TestChildThatCannotBegin: input that the child does not take, an id that is taken and
// a name that is too long refuse the step.
func TestChildThatCannotBegin(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(adding("one"), sendOut(""), adding("two"))
	long := strings.Repeat("x", 980) // fits itself
	start(t, l, errands, "x/errand.2", errand{Key: "another"})
	start(t, l, s, "x", count{})
	start(t, l, s, long, count{})
	nowhere := *errands
	nowhere.Steps = slices.Clone(errands.Steps)
	nowhere.Name = "nowhere"
	nowhere.Steps[0].On = func(*errand) string { return "" }
	n := round(adding("one"), saga.Step[count]{Name: "errand", Child: saga.Run(&nowhere, func(*count, string) errand { return errand{} }, nil)})
	n.Name = "n"
	start(t, l, n, "x", count{})
	drain(t, l, append(append(both(s, errands), n.Handlers()...), nowhere.Handlers()...)...)
	for id, want := range map[string]string{"x": "taken", long: "bytes escaped"} {
		if st := status(t, l, s, id); st.State != saga.Compensated || st.Err == nil || !strings.Contains(st.Err.Error(), want) {
			t.Errorf("%s: %v", st.State, st.Err)
		}
	}
	if st := status(t, l, n, "x"); st.State != saga.Compensated || !strings.Contains(st.Err.Error(), "target") {
		t.Errorf("%s: %v", st.State, st.Err)
	}
	if st := status(t, l, &nowhere, "x/errand.2"); st.State != saga.Compensated || st.Parent == "" {
		t.Errorf("%+v", st)
	}
	leftovers(t, l)
}
