package eventlogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
)

// A Scenario tests what a function decides: given what happened to a stream,
// when the function runs, then these events follow, or this error.
type Scenario[S any] struct {
	t      testing.TB
	log    *eventlog.Log
	model  *eventlog.Model[S]
	stream string
	before uint64
	err    error
}

// Given starts a scenario in a fresh log whose stream holds these events.
func Given[S any](t testing.TB, model *eventlog.Model[S], stream string, events ...eventlog.Event) *Scenario[S] {
	t.Helper()
	s := &Scenario[S]{t: t, log: New(t), model: model, stream: stream, before: uint64(len(events))}
	if _, err := s.log.Append(context.Background(), stream, nil, events...); err != nil {
		t.Fatalf("given: %v", err)
	}
	return s
}

// When runs the function under test in an Update.
func (s *Scenario[S]) When(fn func(tx *eventlog.Tx) error) *Scenario[S] {
	_, s.err = s.log.Update(context.Background(), fn)
	return s
}

// Then expects that the function succeeded and appended exactly these events to
// the stream.
func (s *Scenario[S]) Then(events ...eventlog.Event) *Scenario[S] {
	s.t.Helper()
	if s.err != nil {
		s.t.Errorf("when: %v", s.err)
		return s
	}
	if diff := cmp.Diff(s.encode(events), s.appended()); diff != "" {
		s.t.Errorf("then: events (-want +got):\n%s", diff)
	}
	return s
}

// ThenError expects that the function returned an error that wraps target, and
// that nothing was appended to the stream.
func (s *Scenario[S]) ThenError(target error) *Scenario[S] {
	s.t.Helper()
	if !errors.Is(s.err, target) {
		s.t.Errorf("when: error %v, want %v", s.err, target)
	}
	if got := s.appended(); len(got) > 0 {
		s.t.Errorf("then: %d events after an error: %v", len(got), got)
	}
	return s
}

// ThenState expects the state of the stream after all.
func (s *Scenario[S]) ThenState(want S) *Scenario[S] {
	s.t.Helper()
	err := s.log.View(context.Background(), func(tx *eventlog.Tx) error {
		got, err := s.model.Load(tx, s.stream)
		if err == nil {
			if diff := cmp.Diff(want, *got); diff != "" {
				s.t.Errorf("then: state (-want +got):\n%s", diff)
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
	Type, Data string
	Tags       []string
}

func (s *Scenario[S]) appended() (list []appended) {
	return s.read(s.log, s.before+1)
}

// encode writes events to a log of their own, to compare what is stored.
func (s *Scenario[S]) encode(events []eventlog.Event) []appended {
	s.t.Helper()
	l := New(s.t)
	if _, err := l.Append(context.Background(), s.stream, nil, events...); err != nil {
		s.t.Fatalf("then: %v", err)
	}
	return s.read(l, 1)
}

func (s *Scenario[S]) read(l *eventlog.Log, from uint64) (list []appended) {
	s.t.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{Stream: s.stream, From: from}) {
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, appended{r.Type, string(r.Data), r.Tags})
	}
	return list
}
