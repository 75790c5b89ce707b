package saga_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// version 2 of round has data of another type and other steps.
type count2 struct {
	Words []string
}

func adding2(name string) saga.Step[count2] {
	return saga.Step[count2]{
		Name: name,
		On:   func(*count2) string { return "note/" + name },
		Do: func(tx *eventlog.Tx, c *count2) error {
			c.Words = append(c.Words, name+"'")
			return tx.Append("note/"+name, noted{name})
		},
		Undo: func(tx *eventlog.Tx, c *count2) error {
			c.Words = append(c.Words, "un-"+name+"'")
			return tx.Append("note/"+name, noted{"un-" + name})
		},
	}
}

func round2(steps ...saga.Step[count2]) *saga.Saga[count2] {
	return &saga.Saga[count2]{Name: "round", Version: 2, Steps: steps}
}

var moves = saga.Migration[count2]{From: 1, Steps: map[string]string{"one": "eins", "two": "zwei"},
	Data: saga.Convert(func(c count) (count2, error) { return count2{c.Log}, nil })}

// TestVersions: instances under way finish on the version that they began with, or move,
// wherever they stand when the program is replaced; new ones begin with the newest.
func TestVersions(t *testing.T) {
	t.Parallel()
	old := round(adding("one"), hear("a"), adding("two"), adding("three"))
	for name, test := range map[string]struct {
		define func(*saga.Saga[count2])
		want   string
		back   string
	}{
		"finish": {func(s *saga.Saga[count2]) { s.Earlier = []saga.Definition{old} },
			"one a:x two three", "one a:x two un-two un-one"},
		"move": {func(s *saga.Saga[count2]) { s.Migrations = []saga.Migration[count2]{moves} },
			"one a:x' two' three'", "one a:x' two' un-two' un-one'"},
	} {
		for place, begin := range map[string][]string{
			"at the start": nil, "in a step": {"begin"}, "before the reply": {"one/do"}, "in a wait": {"one/do", "reply"},
			"with the signal held": {"signal"},
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				t.Parallel()
				for _, refuse := range []bool{false, true} {
					l := eventlogtest.New(t)
					s := round2(adding2("eins"), saga.Step[count2]{Name: "a", Signal: saga.On("a", func(c *count2, w word) error {
						c.Words = append(c.Words, "a:"+w.Text+"'")
						return nil
					})}, adding2("zwei"), adding2("three"))
					test.define(s)
					start(t, l, old, "x", count{})
					drain(t, l, only(old.Handlers(), begin...)...)
					send(t, l, say("a", "1", "x"))
					if place == "with the signal held" {
						drain(t, l, only(old.Handlers(), "signal")...)
					}
					if refuse {
						drain(t, l, only(s.Handlers(), "one/do", "eins/do", "reply", "signal", "two/do", "zwei/do")...)
						send(t, l, saga.Cancel{Saga: "round", ID: "x"})
						drain(t, l, only(s.Handlers(), "cancel", "stop")...)
					}
					drain(t, l, s.Handlers()...)
					i, err := saga.Show(t.Context(), l, "round", "x")
					if err != nil {
						t.Fatal(err)
					}
					want := test.want
					if refuse {
						want = test.back
					}
					want = strings.NewReplacer("two'", "zwei'", "one'", "eins'").Replace(want)
					var d struct{ Log, Words []string }
					decode(t, i.Data, &d)
					got := strings.Join(append(d.Log, d.Words...), " ")
					// How far it came before it moved is told by the quotes.
					if strip(got) != strip(want) || name == "finish" && got != want || !i.State.Ended() {
						t.Errorf("%s: %q, want %q (%v)", i.State, got, want, i.Err)
					}
					if v := map[string]int{"finish": 1, "move": 2}[name]; i.Version != v {
						t.Errorf("version %d, want %d", i.Version, v)
					}
					start(t, l, s, "new", count2{})
					if st := status(t, l, s, "new"); st.Version != 2 {
						t.Errorf("a new one has version %d", st.Version)
					}
				}
			})
		}
	}
}

func decode(t testing.TB, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func strip(s string) string {
	return strings.NewReplacer("'", "", "eins", "one", "zwei", "two").Replace(s)
}

// TestGoneVersion: an instance of a version that nobody knows any more is parked when it
// moves, and says why; when it is known again Retry goes on. Nothing is lost meanwhile.
func TestGoneVersion(t *testing.T) {
	t.Parallel()
	old := round(adding("one"), hear("a"), adding("two"))
	s := round2(adding2("eins"))
	for place, begin := range map[string][]string{"in a step": {"one/do"}, "in a wait": {"one/do", "reply"}} {
		l := eventlogtest.New(t)
		start(t, l, old, "x", count{})
		drain(t, l, only(old.Handlers(), begin...)...)
		send(t, l, say("a", "1", "x"))
		drain(t, l, s.Handlers()...)
		i, err := saga.Show(t.Context(), l, "round", "x")
		if err != nil || i.State != saga.Parked || !strings.Contains(i.Err.Error(), "version 1") {
			t.Errorf("%s: %s: %v (%v)", place, i.State, i.Err, err)
		}
		leftovers(t, l) // no hot loop
		s.Earlier = []saga.Definition{old}
		send(t, l, saga.Retry{Saga: "round", ID: "x"})
		drain(t, l, s.Handlers()...)
		if st := status(t, l, old, "x"); st.State != saga.Completed || strings.Join(st.Data.Log, " ") != "one a:x two" {
			t.Errorf("%s: %s: %v %v", place, st.State, st.Data, st.Err)
		}
		s.Earlier = nil
	}
}

// TestNewerVersion: a program of yesterday leaves instances of today's alone.
func TestNewerVersion(t *testing.T) {
	t.Parallel()
	old, s := round(adding("one")), round2(adding2("one"))
	l := eventlogtest.New(t)
	start(t, l, s, "x", count2{})
	drain(t, l, old.Handlers()...)
	i, err := saga.Show(t.Context(), l, "round", "x")
	if err != nil || i.State != saga.Running || len(i.Done) > 0 {
		t.Errorf("%+v (%v)", i, err)
	}
}

// TestRemovedStep: when a step is gone from the definition, an instance that comes to it
// is parked, and so is one that has to undo it.
func TestRemovedStep(t *testing.T) {
	t.Parallel()
	whole, less := round(adding("one"), hear("a"), adding("two"), hear("b")), round(hear("a"), hear("b"))
	for name, test := range map[string]struct {
		then outbox.Step
		want string
	}{
		"undo": {saga.Cancel{Saga: "round", ID: "x"}, "one un-one"},
	} {
		l := eventlogtest.New(t)
		start(t, l, whole, "x", count{})
		drain(t, l, whole.Handlers()...)
		send(t, l, test.then)
		drain(t, l, less.Handlers()...)
		st := status(t, l, less, "x")
		if st.State != saga.Parked || !strings.Contains(st.Err.Error(), `no step "one"`) {
			t.Errorf("%s: %s: %v", name, st.State, st.Err)
		}
		leftovers(t, l)
		send(t, l, saga.Retry{Saga: "round", ID: "x"})
		drain(t, l, whole.Handlers()...)
		if st := status(t, l, whole, "x"); strings.Join(st.Data.Log, " ") != test.want || !st.State.Ended() {
			t.Errorf("%s: %s: %v", name, st.State, st.Data)
		}
	}
}
