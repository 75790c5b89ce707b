package eventlogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
)

// A Scenario tests what a function decides: given what happened to a stream,
// and to others, when the function runs, then these events follow, or this
// error. After another When, Then speaks of that one.
type Scenario[S any] struct {
	t      testing.TB
	log    *eventlog.Log
	model  *eventlog.Model[S]
	stream string
	before eventlog.Position // of the last When
	err    error
}

// Given starts a scenario in a fresh log whose stream holds these events.
func Given[S any](t testing.TB, model *eventlog.Model[S], stream string, events ...eventlog.Event) *Scenario[S] {
	t.Helper()
	s := &Scenario[S]{t: t, log: New(t), model: model, stream: stream}
	return s.And(stream, events...)
}

// And gives events to a stream, the scenario's own or another one.
func (s *Scenario[S]) And(stream string, events ...eventlog.Event) *Scenario[S] {
	s.t.Helper()
	if _, err := s.log.Append(context.Background(), stream, nil, events...); err != nil {
		s.t.Fatalf("given: %v", err)
	}
	s.mark()
	return s
}

// mark notes that what follows is new.
func (s *Scenario[S]) mark() {
	s.t.Helper()
	var err error
	if s.before, err = s.log.Position(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// When runs the function under test in an Update.
func (s *Scenario[S]) When(fn func(tx *eventlog.Tx) error) *Scenario[S] {
	s.t.Helper()
	s.mark()
	_, s.err = s.log.Update(context.Background(), fn)
	return s
}

// Then expects that the function succeeded and appended exactly these events to
// the scenario's stream.
func (s *Scenario[S]) Then(events ...eventlog.Event) *Scenario[S] {
	s.t.Helper()
	return s.ThenIn(s.stream, events...)
}

// ThenIn is Then for another stream.
func (s *Scenario[S]) ThenIn(stream string, events ...eventlog.Event) *Scenario[S] {
	s.t.Helper()
	if s.err != nil {
		s.t.Errorf("when: %v", s.err)
		return s
	}
	if diff := cmp.Diff(s.encode(stream, events), only(stream, s.appended())); diff != "" {
		s.t.Errorf("then: events of %s (-want +got):\n%s", stream, diff)
	}
	return s
}

// ThenNothing expects that the function succeeded and appended nothing to any
// stream.
func (s *Scenario[S]) ThenNothing() *Scenario[S] {
	s.t.Helper()
	if s.err != nil {
		s.t.Errorf("when: %v", s.err)
	}
	if got := s.appended(); len(got) > 0 {
		s.t.Errorf("then: %d events, want none: %v", len(got), got)
	}
	return s
}

// ThenError expects that the function returned an error that wraps target, and
// that nothing was appended to any stream.
func (s *Scenario[S]) ThenError(target error) *Scenario[S] {
	s.t.Helper()
	if !errors.Is(s.err, target) {
		s.t.Errorf("when: error %v, want %v", s.err, target)
	}
	return s.nothingAfterError()
}

// ThenErrorAs expects that the function returned an error of target's type, as
// [errors.As] finds it, which is then in target, and that nothing was appended
// to any stream.
func (s *Scenario[S]) ThenErrorAs(target any) *Scenario[S] {
	s.t.Helper()
	if s.err == nil || !errors.As(s.err, target) {
		s.t.Errorf("when: error %v, want a %T", s.err, target)
	}
	return s.nothingAfterError()
}

func (s *Scenario[S]) nothingAfterError() *Scenario[S] {
	s.t.Helper()
	if got := s.appended(); len(got) > 0 {
		s.t.Errorf("then: %d events after an error: %v", len(got), got)
	}
	return s
}

// ThenState expects the state of the scenario's stream after all.
func (s *Scenario[S]) ThenState(want S) *Scenario[S] {
	s.t.Helper()
	return s.ThenStateIn(s.stream, want)
}

// ThenStateIn is ThenState for another stream.
func (s *Scenario[S]) ThenStateIn(stream string, want S) *Scenario[S] {
	s.t.Helper()
	err := s.log.View(context.Background(), func(tx *eventlog.Tx) error {
		got, err := s.model.Load(tx, stream)
		if err == nil {
			if diff := cmp.Diff(want, *got); diff != "" {
				s.t.Errorf("then: state of %s (-want +got):\n%s", stream, diff)
			}
		}
		return err
	})
	if err != nil {
		s.t.Errorf("then: %v", err)
	}
	return s
}

type appended struct {
	Stream, Type, Data string
	Tags               []string
}

// only returns those of one stream.
func only(stream string, all []appended) (list []appended) {
	for _, a := range all {
		if a.Stream == stream {
			list = append(list, a)
		}
	}
	return list
}

// appended returns what the last When left.
func (s *Scenario[S]) appended() []appended {
	s.t.Helper()
	return s.read(s.log, s.before)
}

// encode writes events to a log of their own, to compare what is stored.
func (s *Scenario[S]) encode(stream string, events []eventlog.Event) []appended {
	s.t.Helper()
	l := New(s.t)
	if _, err := l.Append(context.Background(), stream, nil, events...); err != nil {
		s.t.Fatalf("then: %v", err)
	}
	return s.read(l, eventlog.Position{})
}

func (s *Scenario[S]) read(l *eventlog.Log, after eventlog.Position) (list []appended) {
	s.t.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{After: after}) {
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, appended{r.Stream, r.Type, string(r.Data), r.Tags})
	}
	return list
}
