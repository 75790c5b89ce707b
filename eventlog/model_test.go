package eventlog_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestLoadAndAt: the state of a stream now, at a version, and before a time.
func TestLoadAndAt(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		for i := range 20 {
			add(t, l, "s", fmt.Sprint(i))
			add(t, l, "else", "x")
		}
		state := func(n int) (s string) {
			for i := range n {
				s += fmt.Sprint(i) + " "
			}
			return s
		}
		list := collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"}))
		at := func(q eventlog.Query, want string) {
			t.Helper()
			q.Stream = "s"
			if d, err := diaries.At(t.Context(), l, q); err != nil || d.Text != want {
				t.Errorf("at %+v: %+v, %v, expected %q", q, d, err, want)
			}
		}
		for i, r := range list {
			at(eventlog.Query{To: uint64(i + 1)}, state(i+1))
			at(eventlog.Query{Until: r.Time}, state(i))
			at(eventlog.Query{Until: r.Time.Add(1)}, state(i+1))
			at(eventlog.Query{Until: r.Time.Add(1), To: 5}, state(min(i+1, 5)))
		}
		at(eventlog.Query{}, state(20))
		at(eventlog.Query{To: 99}, state(20))
		at(eventlog.Query{Until: time.Unix(0, 1)}, "")
		if d, err := diaries.At(t.Context(), l, eventlog.Query{Stream: "none"}); err != nil || d.Text != "" {
			t.Errorf("a stream without events has %+v, %v", d, err)
		}
		if _, err := diaries.At(t.Context(), l, eventlog.Query{}); err == nil {
			t.Error("At without a stream works")
		}
		for range 3 {
			is(t, l.View(t.Context(), func(tx *eventlog.Tx) error {
				d, err := diaries.Load(tx, "s")
				if err == nil && d.Text != state(20) {
					t.Errorf("loaded %q", d.Text)
				}
				return err
			}), nil)
		}
	})
}

// States of the kinds that are copied in different ways.
type (
	plainState  struct{ Texts [4]string }
	mapState    struct{ Texts map[string]int }
	sliceState  struct{ Texts []string }
	cloneState  struct{ Texts map[string]int }
	clonedState struct{ Texts map[string]int } // by a method of the pointer
	nestedState struct{ Inner struct{ Texts *mapState } }
)

func (s cloneState) Clone() cloneState    { return cloneState{maps.Clone(s.Texts)} }
func (s *clonedState) Clone() clonedState { return clonedState{maps.Clone(s.Texts)} }

func counting[S any](name string, count func(s *S) *map[string]int) *eventlog.Model[S] {
	return &eventlog.Model[S]{Name: name, Folds: eventlog.Folds[S]{eventlog.On(func(s *S, e entry) {
		m := count(s)
		if *m == nil {
			*m = make(map[string]int)
		}
		(*m)[e.Text]++
	})}}
}

// TestStatesAreTheCallers: what a caller does to the state that it got changes
// nothing that anybody else gets.
func TestStatesAreTheCallers(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		m := eventlog.Model[plainState]{Name: "plain", Folds: eventlog.Folds[plainState]{eventlog.On(func(s *plainState, e entry) { s.Texts[0] += e.Text })}}
		spoil(t, &m, func(s *plainState) { s.Texts[0], s.Texts[3] = "spoilt", "spoilt" })
	})
	t.Run("map", func(t *testing.T) {
		t.Parallel()
		m := counting("map", func(s *mapState) *map[string]int { return &s.Texts })
		spoil(t, m, func(s *mapState) { clear(s.Texts); s.Texts["spoilt"] = 1 })
	})
	t.Run("slice", func(t *testing.T) {
		t.Parallel()
		m := eventlog.Model[sliceState]{Name: "slice", Folds: eventlog.Folds[sliceState]{
			eventlog.On(func(s *sliceState, e entry) { s.Texts = append(s.Texts, e.Text) }),
		}}
		spoil(t, &m, func(s *sliceState) { clear(s.Texts); s.Texts = append(s.Texts[:1], "spoilt") })
	})
	t.Run("clone", func(t *testing.T) {
		t.Parallel()
		m := counting("clone", func(s *cloneState) *map[string]int { return &s.Texts })
		spoil(t, m, func(s *cloneState) { clear(s.Texts); s.Texts["spoilt"] = 1 })
	})
	t.Run("clone of a pointer", func(t *testing.T) {
		t.Parallel()
		m := counting("cloned", func(s *clonedState) *map[string]int { return &s.Texts })
		spoil(t, m, func(s *clonedState) { clear(s.Texts); s.Texts["spoilt"] = 1 })
	})
	t.Run("nested pointer", func(t *testing.T) {
		t.Parallel()
		m := counting("nested", func(s *nestedState) *map[string]int {
			if s.Inner.Texts == nil {
				s.Inner.Texts = new(mapState)
			}
			return &s.Inner.Texts.Texts
		})
		spoil(t, m, func(s *nestedState) { clear(s.Inner.Texts.Texts); s.Inner.Texts = nil })
	})
}

// spoil loads, spoils what it got, and loads again, in all situations.
func spoil[S any](t *testing.T, m *eventlog.Model[S], ruin func(*S)) {
	l := fresh(t)
	add(t, l, "s", "a", "b")
	show := func(s *S) string { return strings.ReplaceAll(fmt.Sprintf("%+v", deref(s)), "&", "") }
	load := func(tx *eventlog.Tx) string {
		s, err := m.Load(tx, "s")
		if err != nil {
			t.Error(err)
			return ""
		}
		defer ruin(s)
		return show(s)
	}
	expect := func(when, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, expected %s", when, got, want)
		}
	}
	var two, three string
	update(t, l, func(tx *eventlog.Tx) error {
		two = load(tx)
		expect("loaded again", load(tx), two)
		if err := tx.Append("s", entry{"c"}); err != nil {
			return err
		}
		three = load(tx)
		expect("loaded again with own events", load(tx), three)
		return nil
	})
	if two == three {
		t.Errorf("an event made no difference: %s", two)
	}
	for range 2 {
		update(t, l, func(tx *eventlog.Tx) error { expect("in another Update", load(tx), three); return nil })
		is(t, l.View(t.Context(), func(tx *eventlog.Tx) error { expect("in a View", load(tx), three); return nil }), nil)
		s, err := m.At(t.Context(), l, eventlog.Query{Stream: "s"})
		is(t, err, nil)
		expect("At", show(s), three)
		ruin(s)
	}
}

// deref follows the pointer of nestedState, for showing.
func deref(s any) any {
	if n, ok := s.(*nestedState); ok && n.Inner.Texts != nil {
		return n.Inner.Texts.Texts
	}
	return s
}

// TestUnknownTypes: an event that no fold knows is an error, or goes to Else.
func TestUnknownTypes(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	add(t, l, "s", "a")
	_, err := l.Append(t.Context(), "s", nil, eventlog.Raw{Type: "strange", Data: []byte(`{}`)})
	is(t, err, nil)
	load := func(m *eventlog.Model[diary]) (text string, err error) {
		err = l.View(t.Context(), func(tx *eventlog.Tx) error {
			d, err := m.Load(tx, "s")
			if err == nil {
				text = d.Text
			}
			return err
		})
		return text, err
	}
	if _, err := load(&diaries); !errors.Is(err, eventlog.ErrUnknownType) || !strings.Contains(err.Error(), "strange at version 2") {
		t.Errorf("error %v, expected ErrUnknownType with type and version", err)
	}
	tolerant := diaries
	tolerant.Name, tolerant.Else = "tolerant", func(d *diary, r eventlog.Record) error { d.Text += "<" + r.Type + ">"; return nil }
	if got, err := load(&tolerant); got != "a <strange>" || err != nil {
		t.Errorf("with Else %q, %v", got, err)
	}
	refusing := diaries
	refusing.Name, refusing.Else = "refusing", func(*diary, eventlog.Record) error { return errNo }
	_, err = load(&refusing)
	is(t, err, errNo)
	_, err = diaries.At(t.Context(), l, eventlog.Query{Stream: "s"})
	is(t, err, eventlog.ErrUnknownType)
	var d diary
	is(t, diaries.Fold(&d, l.Read(t.Context(), eventlog.Query{Stream: "s", To: 1})), nil)
	is(t, diaries.Fold(&d, l.Read(t.Context(), eventlog.Query{Stream: "s"})), eventlog.ErrUnknownType)
	if d.Text != "a a " {
		t.Errorf("folded %q", d.Text)
	}
}

// TestModelsShareNothing: models of one name, or of one state, do not get each
// other's states.
func TestModelsShareNothing(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), nil)
	add(t, l, "s", "a", "b")
	fold := func(mark string) *eventlog.Model[diary] {
		return &eventlog.Model[diary]{Name: "same", Folds: eventlog.Folds[diary]{eventlog.On(func(d *diary, e entry) { d.Text += mark + e.Text })}}
	}
	one, two := fold("1"), fold("2")
	other := eventlog.Model[plainState]{Name: "same", Folds: eventlog.Folds[plainState]{eventlog.On(func(s *plainState, e entry) { s.Texts[0] += e.Text })}}
	for range 2 {
		update(t, l, func(tx *eventlog.Tx) error {
			a, errA := one.Load(tx, "s")
			b, errB := two.Load(tx, "s")
			c, errC := other.Load(tx, "s")
			if err := join(errA, errB, errC); err != nil {
				return err
			}
			if a.Text != "1a1b" || b.Text != "2a2b" || c.Texts[0] != "ab" {
				t.Errorf("loaded %q, %q, %q", a.Text, b.Text, c.Texts[0])
			}
			return nil
		})
	}
}
