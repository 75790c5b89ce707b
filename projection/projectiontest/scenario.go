package projectiontest

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// A Scenario tests what events do to a read model.
type Scenario struct {
	t     testing.TB
	given []given
	db    *sql.DB // after When
	err   error
}

// given is an event that is in a commit of its own.
type given struct {
	stream string
	event  eventlog.Event
}

// Given starts a scenario in which a stream holds these events.
func Given(t testing.TB, stream string, events ...eventlog.Event) *Scenario {
	return (&Scenario{t: t}).And(stream, events...)
}

// And gives events to a stream, the same or another one, behind those that were
// given before.
func (s *Scenario) And(stream string, events ...eventlog.Event) *Scenario {
	for _, e := range events {
		s.given = append(s.given, given{stream, e})
	}
	return s
}

// When runs the projections, together, in every way. It fails the test when two
// ways leave different rows. It is called once, and the projections need a Reset.
func (s *Scenario) When(projections ...sqlsink.Projection) *Scenario {
	s.t.Helper()
	switch {
	case s.db != nil:
		s.t.Fatal("when: a scenario has one When")
	case len(projections) == 0:
		s.t.Fatal("when: without projections")
	}
	for _, p := range projections {
		if p.Reset == nil {
			s.t.Fatalf("when: projection %s has no Reset, so nothing makes its tables", p.Name)
		}
	}
	c := newCourse(s.t, s.given, projections)
	live, others := c.run()
	s.db, s.err = live.db, live.err
	for _, w := range others {
		switch {
		case errors.Is(w.err, errSkipped):
		case (w.err == nil) != (live.err == nil):
			s.t.Errorf("when: live: %v; %s: %v", live.err, w.name, w.err)
		case live.err == nil:
			if diff := cmp.Diff(live.rows, w.rows); diff != "" {
				s.t.Errorf("when: live, and %s, differ (-live +%s):\n%s", w.name, w.name, diff)
			}
		}
	}
	return s
}

// Then expects that the projections have handled all events, and that the query
// yields exactly these rows, in this order.
func (s *Scenario) Then(query string, want ...Row) *Scenario {
	s.t.Helper()
	if !s.went() {
		return s
	}
	got, err := s.query(query)
	if err == nil {
		want, err = normal(want)
	}
	if err != nil {
		s.t.Errorf("then: %s: %v", query, err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("then: %s (-want +got):\n%s", query, diff)
	}
	return s
}

// ThenFunc expects that the projections have handled all events, and that check
// has nothing to say about the read model. The database refuses to write.
func (s *Scenario) ThenFunc(check func(db *sql.DB) error) *Scenario {
	s.t.Helper()
	if !s.went() {
		return s
	}
	if err := check(s.db); err != nil {
		s.t.Errorf("then: %v", err)
	}
	return s
}

// ThenError expects that a projection stopped with an error that wraps target,
// in every way.
func (s *Scenario) ThenError(target error) *Scenario {
	s.t.Helper()
	if !errors.Is(s.err, target) {
		s.t.Errorf("when: error %v, want %v", s.err, target)
	}
	return s
}

func (s *Scenario) went() bool {
	s.t.Helper()
	switch {
	case s.db == nil:
		s.t.Fatal("then: without a When")
	case s.err != nil:
		s.t.Errorf("when: %v", s.err)
	}
	return s.err == nil
}

func (s *Scenario) query(query string) ([]Row, error) {
	rows, err := s.db.QueryContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	return scan(rows)
}
