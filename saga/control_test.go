package saga_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// entries returns an instance's history in words.
func entries(t testing.TB, l *eventlog.Log, name, id string) (list []string) {
	t.Helper()
	for e, err := range saga.History(t.Context(), l, name, id) {
		if err != nil {
			t.Fatal(err)
		}
		words := []string{e.What, e.Step, e.By, e.Reason, string(e.After.State)}
		if e.Err != nil {
			words = append(words, "("+e.Err.Error()+")")
		}
		list = append(list, strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " "))
	}
	return list
}

// TestWhoWhenWhy: what somebody does to an instance is in its history, with who and why;
// also what cannot be done, which changes nothing.
func TestWhoWhenWhy(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(adding("one"), hear("a"), adding("two"))
	start(t, l, s, "x", count{})
	drain(t, l, s.Handlers()...)
	for _, step := range []outbox.Step{
		saga.Retry{Saga: "round", ID: "x", By: "ann", Reason: "why not"},
		saga.Skip{Saga: "round", ID: "x", By: "bob", Reason: "no answer"},
		saga.Skip{Saga: "round", ID: "x", By: "bob", Reason: "again"},
		saga.Cancel{Saga: "round", ID: "x", By: "eve", Reason: "too late"},
		saga.Retry{Saga: "round", ID: "x"},
		saga.Fork{Saga: "round", ID: "x", As: "y", Step: "three", By: "ann"},
	} {
		send(t, l, step)
		drain(t, l, s.Handlers()...)
	}
	want := []string{
		"started running",
		"done one running",
		"retry ann why not running (it is running)",
		"stopped a bob no answer running (skipped by bob: no answer)",
		"done two completed",
		"skip bob again completed (it is completed)",
		"cancel eve too late completed (it is completed)",
		"retry completed (it is completed)",
		"fork ann completed (it never came to step three)",
	}
	if diff := cmp.Diff(want, entries(t, l, "round", "x")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	leftovers(t, l)
	send(t, l, saga.Cancel{Saga: "round", ID: "nobody"})
	drain(t, l, s.Handlers()...)
	for i, err := range outbox.Dead(t.Context(), l) {
		if err != nil || !strings.Contains(i.Err, saga.ErrNotFound.Error()) {
			t.Errorf("%v %v", i, err)
		}
	}
	for err := range saga.History(t.Context(), l, "round", "nobody") {
		_ = err
	}
}

// TestActor: who is the actor of the transaction, if nobody else is named.
func TestActor(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(hear("a"))
	start(t, l, s, "x", count{})
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		tx.Meta().Actor = "ann"
		return outbox.Enqueue(tx, saga.Cancel{Saga: "round", ID: "x", Reason: "r"})
	})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, l, s.Handlers()...)
	if st := status(t, l, s, "x"); st.State != saga.Cancelled || st.Err.Error() != "cancelled by ann: r" || st.Cause != saga.CauseCancel {
		t.Errorf("%s: %v", st.State, st.Err)
	}
}

// TestCancelWhereverItStands: whatever an instance waits for, a cancel undoes what it did.
func TestCancelWhereverItStands(t *testing.T) {
	t.Parallel()
	waits := map[string]saga.Step[count]{
		"a time":   {Name: "x", Wait: time.Hour},
		"a signal": hear("x"),
		"a step that fails": with(adding("x"), func(s *saga.Step[count]) {
			s.Do = func(*eventlog.Tx, *count) error { return errors.New("not now") }
			s.Policy = outbox.Policy{Attempts: -1}
		}),
	}
	for name, step := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				s := round(adding("one"), step, adding("two"))
				start(t, l, s, "x", count{})
				drain(t, l, s.Handlers()...)
				send(t, l, saga.Cancel{Saga: "round", ID: "x", By: "ann"})
				drain(t, l, s.Handlers()...)
				if st := status(t, l, s, "x"); st.State != saga.Cancelled || strings.Join(st.Data.Log, " ") != "one un-one" {
					t.Errorf("%s: %v", st.State, st.Data)
				}
				leftovers(t, l)
			})
		})
	}
}

// TestSkipAnUndo: an Undo that cannot succeed can be skipped, with a reason, while it is
// tried or when the instance is parked; the others still run.
func TestSkipAnUndo(t *testing.T) {
	t.Parallel()
	for name, attempts := range map[string]int{"parked": 1, "under way": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			broken := with(adding("two"), func(s *saga.Step[count]) {
				s.Undo = func(*eventlog.Tx, *count) error { return errors.New("broken") }
				s.Policy = outbox.Policy{Attempts: attempts}
			})
			s := round(adding("one"), broken, refusing("three"))
			start(t, l, s, "x", count{})
			drain(t, l, s.Handlers()...)
			if st := status(t, l, s, "x"); attempts == 1 && st.State != saga.Parked || attempts < 0 && st.State != saga.Compensating {
				t.Errorf("%s: %v", st.State, st.Err)
			}
			send(t, l, saga.Cancel{Saga: "round", ID: "x"}) // changes nothing
			send(t, l, saga.Skip{Saga: "round", ID: "x", By: "ann", Reason: "paid back by hand"})
			drain(t, l, s.Handlers()...)
			st := status(t, l, s, "x")
			if st.State != saga.Compensated || strings.Join(st.Data.Log, " ") != "one two un-one" || len(st.Done) > 0 || st.Refused != "three" {
				t.Errorf("%s: %v %v", st.State, st.Data, st.Done)
			}
			leftovers(t, l)
		})
	}
	_, err := eventlogtest.New(t).Update(t.Context(), func(tx *eventlog.Tx) error {
		return outbox.Enqueue(tx, saga.Skip{Saga: "round", ID: "x"})
	})
	if !errors.Is(err, outbox.ErrStep) {
		t.Errorf("a skip without a reason: %v", err)
	}
}

// TestFork: a new instance goes on from a step with the data of then, or with other
// data; it undoes only what it did itself.
func TestFork(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(adding("one"), adding("two"), with(refusing("three"), func(s *saga.Step[count]) {
		do := s.Do
		s.Do = func(tx *eventlog.Tx, c *count) error {
			if c.Limit > 0 {
				return adding("three").Do(tx, c)
			}
			return do(tx, c)
		}
	}))
	start(t, l, s, "x", count{})
	drain(t, l, s.Handlers()...)
	send(t, l,
		saga.Fork{Saga: "round", ID: "x", As: "y", Step: "two", By: "ann", Reason: "try"},
		saga.Fork{Saga: "round", ID: "x", As: "z", Step: "three", Data: count{N: 2, Limit: 1, Log: []string{"hi"}}})
	drain(t, l, s.Handlers()...)
	for id, want := range map[string]string{"x": "one two un-two un-one", "y": "one two un-two", "z": "hi three"} {
		st := status(t, l, s, id)
		if got := strings.Join(st.Data.Log, " "); got != want || (st.State == saga.Completed) != (id == "z") {
			t.Errorf("%s is %s: %q, want %q", id, st.State, got, want)
		}
	}
	if h := entries(t, l, "round", "x"); h[len(h)-2] != "forked two ann try compensated" {
		t.Errorf("%v", h)
	}
	leftovers(t, l)
}
