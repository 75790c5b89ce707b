package saga_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type word struct{ Text string }

// hear is a step that waits for a signal and notes what it says.
func hear(name string) saga.Step[count] {
	return saga.Step[count]{Name: name, Signal: saga.On(name, func(c *count, w word) error {
		c.Log = append(c.Log, name+":"+w.Text)
		if w.Text == "no" {
			return errors.New("it says no")
		}
		return nil
	})}
}

func say(name, dedup, text string) saga.Signal {
	return saga.Signal{Saga: "round", ID: "x", Name: name, Dedup: dedup, Data: word{text}}
}

// TestSignals: a signal counts whenever it comes, before the start, before the wait,
// or while it is waited for; each once, in order, and only for its name.
func TestSignals(t *testing.T) {
	t.Parallel()
	s := round(adding("one"), hear("a"), hear("b"), with(hear("a"), func(s *saga.Step[count]) { s.Name = "c" }), adding("two"))
	for name, test := range map[string]struct {
		early, before, while []saga.Signal
		want                 string
	}{
		"while it waits":   {while: []saga.Signal{say("a", "1", "x"), say("b", "1", "y"), say("a", "2", "z")}, want: "one a:x b:y a:z two"},
		"before it waits":  {before: []saga.Signal{say("a", "1", "x"), say("b", "1", "y"), say("a", "2", "z")}, want: "one a:x b:y a:z two"},
		"before the start": {early: []saga.Signal{say("a", "1", "x"), say("b", "1", "y"), say("a", "2", "z")}, want: "one a:x b:y a:z two"},
		"out of order":     {early: []saga.Signal{say("b", "1", "y")}, while: []saga.Signal{say("a", "1", "x"), say("a", "2", "z")}, want: "one a:x b:y a:z two"},
		"twice":            {early: []saga.Signal{say("a", "1", "x")}, before: []saga.Signal{say("a", "1", "x")}, while: []saga.Signal{say("b", "1", "y"), say("a", "1", "again")}, want: "one a:x b:y"},
		"without a dedup":  {while: []saga.Signal{say("a", "", "x"), say("b", "", "y"), say("a", "", "x")}, want: "one a:x b:y a:x two"},
		"others":           {early: []saga.Signal{say("z", "1", "x")}, while: []saga.Signal{say("b", "2", "x"), say("b", "3", "y")}, want: "one"},
		"dedup is by name": {while: []saga.Signal{say("a", "1", "x"), say("b", "1", "y"), say("a", "2", "z")}, want: "one a:x b:y a:z two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			for _, sig := range test.early {
				send(t, l, sig)
			}
			drain(t, l, s.Handlers()...)
			start(t, l, s, "x", count{})
			for _, sig := range test.before {
				send(t, l, sig)
			}
			drain(t, l, only(s.Handlers(), "signal")...)
			drain(t, l, s.Handlers()...)
			for _, sig := range test.while {
				send(t, l, sig)
				drain(t, l, s.Handlers()...)
			}
			st := status(t, l, s, "x")
			if got := strings.Join(st.Data.Log, " "); got != test.want || (st.State == saga.Completed) != strings.HasSuffix(got, "two") {
				t.Errorf("%s: %q, want %q (%v)", st.State, got, test.want, st.Err)
			}
			leftovers(t, l)
		})
	}
}

// TestSignalThatSaysNo: an error of the receiver refuses the step, like data that it
// cannot read.
func TestSignalThatSaysNo(t *testing.T) {
	t.Parallel()
	for _, sig := range []saga.Signal{say("a", "1", "no"), {Saga: "round", ID: "x", Name: "a", Data: 7}} {
		l := eventlogtest.New(t)
		s := round(adding("one"), hear("a"))
		start(t, l, s, "x", count{})
		send(t, l, sig)
		drain(t, l, s.Handlers()...)
		if st := status(t, l, s, "x"); st.State != saga.Compensated || st.Refused != "a" || strings.Join(st.Data.Log, " ") != "one un-one" {
			t.Errorf("%s %s: %v %v", st.State, st.Refused, st.Data, st.Err)
		}
		send(t, l, say("a", "late", "yes")) // and what comes too late is written down
		drain(t, l, s.Handlers()...)
		leftovers(t, l)
		if h := history(t, l, "round", "x"); h[len(h)-1] != "$saga.signal" {
			t.Errorf("%v", h)
		}
	}
}

// history returns the types of an instance's events.
func history(t testing.TB, l *eventlog.Log, name, id string) (list []string) {
	t.Helper()
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "$saga-" + name + "/" + id}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r.Type)
	}
	return list
}

// TestSignalTimeout: who waits too long goes back, or where OnTimeout says; a signal in
// time leaves no timer behind, and one that comes just too late changes nothing.
func TestSignalTimeout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		onTimeout string
		after     time.Duration
		want      string
		state     saga.State
	}{
		"in time":           {"", time.Hour, "one a:x two", saga.Completed},
		"too late":          {"", 25 * time.Hour, "one un-one", saga.Compensated},
		"another way":       {"two", 25 * time.Hour, "one two", saga.Completed},
		"the end":           {saga.End, 25 * time.Hour, "one", saga.Completed},
		"in time, with way": {saga.End, 23 * time.Hour, "one a:x two", saga.Completed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				s := round(adding("one"), with(hear("a"), func(s *saga.Step[count]) { s.Timeout, s.OnTimeout = 24*time.Hour, test.onTimeout }), adding("two"))
				start(t, l, s, "x", count{})
				drain(t, l, s.Handlers()...)
				st := status(t, l, s, "x")
				if st.Step != "a" || st.Signal != "a" || st.Due.Sub(st.Started).Round(time.Minute) != 24*time.Hour {
					t.Errorf("%+v", st)
				}
				time.Sleep(test.after)
				drain(t, l, s.Handlers()...)
				send(t, l, say("a", "1", "x"))
				drain(t, l, s.Handlers()...)
				if st := status(t, l, s, "x"); st.State != test.state || strings.Join(st.Data.Log, " ") != test.want {
					t.Errorf("%s: %v", st.State, st.Data)
				}
				leftovers(t, l)
			})
		})
	}
}

// TestTooManySignals: what is more than an instance holds is not lost: it is a dead
// letter. What is too large, or has no name, is refused where it is made.
func TestTooManySignals(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for k := range saga.MaxHeld + 1 {
		send(t, l, say("a", fmt.Sprint(k), "x"))
	}
	s := round(hear("a"))
	drain(t, l, s.Handlers()...)
	dead := 0
	for range outbox.Dead(t.Context(), l) {
		dead++
	}
	if dead != 1 {
		t.Errorf("%d dead letters", dead)
	}
	for _, sig := range []saga.Signal{say("a", "1", strings.Repeat("x", saga.MaxSignal)), say("", "1", "x")} {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, sig) })
		if !errors.Is(err, outbox.ErrStep) {
			t.Errorf("got %v", err)
		}
	}
}
