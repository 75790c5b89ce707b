package sinktest

import (
	"strings"
	"time"

	"github.com/rollforward/rollforward/projection"
)

func testNote[T any](s *suite[T]) {
	first := &projection.Stop{Version: 3, Time: time.Date(2026, 11, 22, 10, 20, 30, 123456789, time.UTC),
		Reason: strings.Repeat("it's \"日本\" 100% \n", 100), Shard: 1, Revision: 1 << 40}
	second := &projection.Stop{Version: 1, Time: first.Time.Add(time.Second), Reason: "other"}
	s.note(first)
	s.want(projection.State{Stop: first}, s.rows())
	s.reset(0, 1, 2)
	s.want(zero(1, 2), nil)
	if err := s.apply(move(0, 0, 1)); err != nil {
		s.Fatal(err)
	}
	want := with(zero(1, 2), checkpoint(0, 1))
	for _, want.Stop = range []*projection.Stop{first, second, nil, nil, second} {
		s.note(want.Stop)
		s.want(want, map[string]int{row(0): 1})
	}
	if state, err := s.Sink.State(s.Context(), "another"); err != nil || state.Stop != nil {
		s.Errorf("another projection has %+v, %v", state, err)
	}
	s.Store = s.Reopen()
	s.want(want, map[string]int{row(0): 1})
	s.reset(1, 1, 2)
	s.want(zero(1, 2), nil)
}

func (s *suite[T]) note(stop *projection.Stop) {
	s.Helper()
	if err := s.Sink.Note(s.Context(), name, stop); err != nil {
		s.Fatalf("note: %v", err)
	}
}
