package saga_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// count is the data of sagas that go round.
type count struct {
	N, Limit int
	Log      []string
}

func round(steps ...saga.Step[count]) *saga.Saga[count] {
	return &saga.Saga[count]{Name: "round", Version: 1, Steps: steps}
}

// adding is a step that changes a stream and notes it in the data.
func adding(name string) saga.Step[count] {
	return saga.Step[count]{
		Name: name,
		On:   func(*count) string { return "note/" + name },
		Do: func(tx *eventlog.Tx, c *count) error {
			c.N++
			c.Log = append(c.Log, name)
			return tx.Append("note/"+name, noted{name})
		},
		Undo: func(tx *eventlog.Tx, c *count) error {
			c.N--
			c.Log = append(c.Log, "un-"+name)
			return tx.Append("note/"+name, noted{"un-" + name})
		},
	}
}

func with(s saga.Step[count], change func(*saga.Step[count])) saga.Step[count] {
	change(&s)
	return s
}

func refusing(name string) saga.Step[count] {
	return with(adding(name), func(s *saga.Step[count]) {
		s.Do = func(*eventlog.Tx, *count) error { return outbox.Abort(errors.New(name + " refuses")) }
	})
}

// TestLoop: a step runs as often as Next says; when the saga goes back, each
// execution is undone, once, the last one first.
func TestLoop(t *testing.T) {
	t.Parallel()
	again := func(c *count) string {
		if c.N < c.Limit {
			return "one"
		}
		return "three"
	}
	s := round(adding("one"), with(adding("two"), func(s *saga.Step[count]) { s.Next, s.Routes = again, []string{"one", "three"} }), refusing("three"))
	l := eventlogtest.New(t)
	start(t, l, s, "x", count{Limit: 5})
	drain(t, l, s.Handlers()...)
	st := status(t, l, s, "x")
	want := strings.Fields("one two one two one two un-two un-one un-two un-one un-two un-one")
	if st.State != saga.Compensated || !slices.Equal(st.Data.Log, want) || st.Data.N != 0 || len(st.Done) != 0 {
		t.Errorf("%s: %v, %v", st.State, st.Data, st.Done)
	}
	leftovers(t, l)
}

// TestBranches: steps that do nothing but branch take no time and no commit, and End
// is a route.
func TestBranches(t *testing.T) {
	t.Parallel()
	branch := func(name string, to func(*count) string, routes ...string) saga.Step[count] {
		return saga.Step[count]{Name: name, Next: to, Routes: routes}
	}
	s := round(
		branch("which", func(c *count) string { return []string{"small", "large"}[c.Limit/10] }, "small", "large"),
		with(adding("small"), func(s *saga.Step[count]) {
			s.Next, s.Routes = func(*count) string { return saga.End }, []string{saga.End}
		}),
		adding("large"),
		branch("more", func(c *count) string { return []string{saga.End, "large"}[min(1, c.Limit-10-c.N)] }, "large", saga.End),
	)
	for limit, want := range map[int]string{1: "small", 11: "large", 13: "large large large"} {
		l := eventlogtest.New(t)
		start(t, l, s, "x", count{Limit: limit})
		drain(t, l, s.Handlers()...)
		if st := status(t, l, s, "x"); st.State != saga.Completed || strings.Join(st.Data.Log, " ") != want {
			t.Errorf("%d: %s: %v", limit, st.State, st.Data)
		}
	}
}

// TestWrongRoutes: what Next must not say parks the instance, which says why; a
// corrected program can go on after a Retry, or an operator by a Skip.
func TestWrongRoutes(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(*count) string{
		"an undeclared route": func(*count) string { return "one" },
		"no step":             func(*count) string { return "four" },
		"nothing":             func(*count) string { return "" },
		"panic":               func(*count) string { panic("argh") },
	} {
		wrong := round(with(adding("one"), func(s *saga.Step[count]) { s.Next, s.Routes = next, []string{"three"} }), adding("two"), adding("three"))
		right := round(adding("one"), adding("two"), adding("three"))
		for _, test := range []struct {
			by   outbox.Step
			then *saga.Saga[count]
			want string
		}{
			{saga.Retry{Saga: "round", ID: "x"}, right, "one two three"},
			{saga.Skip{Saga: "round", ID: "x", To: "three", Reason: "r"}, wrong, "one three"},
			{saga.Cancel{Saga: "round", ID: "x"}, wrong, "one un-one"},
		} {
			l := eventlogtest.New(t)
			start(t, l, wrong, "x", count{})
			drain(t, l, wrong.Handlers()...)
			st := status(t, l, wrong, "x")
			if st.State != saga.Parked || !strings.Contains(st.Err.Error(), `Next of step "one"`) {
				t.Errorf("%s: %s: %v", name, st.State, st.Err)
			}
			leftovers(t, l) // it is no hot loop
			send(t, l, test.by)
			drain(t, l, test.then.Handlers()...)
			if st := status(t, l, test.then, "x"); !st.State.Ended() || strings.Join(st.Data.Log, " ") != test.want {
				t.Errorf("%s, then %T: %s: %v %v", name, test.by, st.State, st.Data, st.Err)
			}
			leftovers(t, l)
		}
	}
}

// TestEndlessBranches: branches that lead round without work are found.
func TestEndlessBranches(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(adding("one"), saga.Step[count]{Name: "a", Next: func(*count) string { return "a" }, Routes: []string{"a"}})
	start(t, l, s, "x", count{})
	drain(t, l, s.Handlers()...)
	if st := status(t, l, s, "x"); st.State != saga.Parked || !strings.Contains(st.Err.Error(), "branches") {
		t.Errorf("%s: %v", st.State, st.Err)
	}
	s.Steps = s.Steps[1:]
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return s.Start(tx, "y", count{}) })
	if err == nil || !strings.Contains(err.Error(), "branches") {
		t.Errorf("got %v", err)
	}
}

// TestTooMuchToUndo: a loop that could never be undone is refused in time.
func TestTooMuchToUndo(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(saga.Step[count]{
		Name: "one",
		On:   func(*count) string { return "note/one" },
		Do:   func(_ *eventlog.Tx, c *count) error { c.N++; return nil },
		Undo: func(_ *eventlog.Tx, c *count) error { c.N--; return nil },
		Next: func(*count) string { return "one" }, Routes: []string{"one"},
	})
	start(t, l, s, "x", count{})
	drain(t, l, s.Handlers()...)
	if st := status(t, l, s, "x"); st.State != saga.Compensated || st.Data.N != 0 || !strings.Contains(st.Err.Error(), "undo") {
		t.Errorf("%s: %v %v", st.State, st.Data, st.Err)
	}
}
