package sinktest

import (
	"context"
	"errors"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/projection"
)

func testApply[T any](s *suite[T]) {
	s.reset(0, 1, 2)
	if err := s.apply(move(1, 0, 3)); err != nil {
		s.Fatal(err)
	}
	s.want(with(zero(1, 2), checkpoint(1, 3)), map[string]int{row(1): 1})
	if err := s.apply(move(1, 3, 1<<40)); err != nil {
		s.Fatal(err)
	}
	s.want(with(zero(1, 2), checkpoint(1, 1<<40)), map[string]int{row(1): 2})
}

func testApplyEmpty[T any](s *suite[T]) {
	s.reset(0, 1, 1)
	m := move(0, 0, 7)
	m.To.Last = projection.Mark{} // commits without events
	err := s.Sink.Apply(s.Context(), projection.Batch{Name: name, Version: 1, Moves: []projection.Move{m}}, func(T) error { return nil })
	if err != nil {
		s.Fatal(err)
	}
	s.want(with(zero(1, 1), m.To), nil)
}

func testApplySeveral[T any](s *suite[T]) {
	s.reset(0, 1, 3)
	if err := s.apply(move(0, 0, 1), move(2, 0, 5)); err != nil {
		s.Fatal(err)
	}
	want := with(with(zero(1, 3), checkpoint(0, 1)), checkpoint(2, 5))
	s.want(want, map[string]int{row(0): 1, row(2): 1})
	s.is(s.apply(move(0, 1, 2), move(2, 4, 6)), projection.ErrMoved)
	s.want(want, map[string]int{row(0): 1, row(2): 1})
}

func testApplyFails[T any](s *suite[T]) {
	s.reset(0, 1, 1)
	b := projection.Batch{Name: name, Version: 1, Moves: []projection.Move{move(0, 0, 1)}}
	s.is(s.Sink.Apply(s.Context(), b, func(tx T) error {
		return errors.Join(s.Add(tx, "lost", 1), errTest)
	}), errTest)
	func() {
		defer func() { recover() }()
		_ = s.Sink.Apply(s.Context(), b, func(tx T) error {
			if err := s.Add(tx, "lost", 1); err != nil {
				s.Error(err)
			}
			panic("test")
		})
	}()
	s.want(zero(1, 1), nil)
	if err := s.apply(move(0, 0, 1)); err != nil {
		s.Fatalf("after the failures: %v", err)
	}
	s.want(with(zero(1, 1), checkpoint(0, 1)), map[string]int{row(0): 1})
}

func testApplyStale[T any](s *suite[T]) {
	s.reset(0, 1, 2)
	if err := s.apply(move(0, 0, 5)); err != nil {
		s.Fatal(err)
	}
	for _, from := range []driver.Revision{0, 4, 6} {
		s.is(s.apply(move(0, from, from+3)), projection.ErrMoved)
	}
	s.is(s.apply(move(1, 5, 6)), projection.ErrMoved)
	s.is(s.apply(move(2, 0, 1)), projection.ErrMoved) // there is no such shard
	s.want(with(zero(1, 2), checkpoint(0, 5)), map[string]int{row(0): 1})
}

func testApplyVersion[T any](s *suite[T]) {
	s.reset(0, 2, 1)
	s.is(s.apply(move(0, 0, 1)), projection.ErrMoved)
	s.want(zero(2, 1), nil)
}

func testApplyTwice[T any](s *suite[T]) {
	s.reset(0, 1, 1)
	if err := s.apply(move(0, 0, 3)); err != nil {
		s.Fatal(err)
	}
	s.is(s.apply(move(0, 0, 3)), projection.ErrMoved)
	s.want(with(zero(1, 1), checkpoint(0, 3)), map[string]int{row(0): 1})
}

func testApplyCanceled[T any](s *suite[T]) {
	s.reset(0, 1, 1)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	err := s.Sink.Apply(ctx, projection.Batch{Name: name, Version: 1, Moves: []projection.Move{move(0, 0, 1)}}, func(tx T) error {
		return s.Add(tx, "late", 1)
	})
	if err == nil {
		s.Error("no error")
	}
	s.want(zero(1, 1), nil)
}

func testRace[T any](s *suite[T]) {
	const racers, rounds = 4, 5
	s.reset(0, 1, 1)
	want := make(map[string]int)
	for r := range driver.Revision(rounds) {
		errs := make([]error, racers)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = s.apply(move(0, r, r+1)) })
		}
		wg.Wait()
		s.winner(errs)
		want[row(0)]++
	}
	s.want(with(zero(1, 1), checkpoint(0, rounds)), want)
}

func testShards[T any](s *suite[T]) {
	const shards, rounds = 8, 5
	s.reset(0, 1, shards)
	want, rows := zero(1, shards), make(map[string]int)
	var wg sync.WaitGroup
	for shard := range shards {
		want, rows[row(shard)] = with(want, checkpoint(shard, rounds)), rounds
		wg.Go(func() {
			for r := range driver.Revision(rounds) {
				if err := s.apply(move(shard, r, r+1)); err != nil {
					s.Errorf("shard %d: %v", shard, err)
				}
			}
		})
	}
	wg.Wait()
	s.want(want, rows)
}

func testApart[T any](s *suite[T]) {
	names := []string{name, "tests ", "Tests", "tests/1", `te"s't%_`, "tests|1", "日本"}
	for i, n := range names {
		err := s.Sink.Reset(s.Context(), projection.Reset{Name: n, Version: 1, Shards: i + 1}, func(T) error { return nil })
		if err != nil {
			s.Fatalf("reset %q: %v", n, err)
		}
	}
	if err := s.apply(move(0, 0, 1)); err != nil {
		s.Fatal(err)
	}
	for i, n := range names {
		state, err := s.Sink.State(s.Context(), n)
		if err != nil {
			s.Fatalf("state of %q: %v", n, err)
		}
		if len(state.Checkpoints) != i+1 || (state.Checkpoints[0].Revision == 1) != (n == name) {
			s.Errorf("%q has %+v", n, state)
		}
	}
}

func testReopen[T any](s *suite[T]) {
	s.reset(0, 1, 2)
	if err := s.apply(move(1, 0, 3)); err != nil {
		s.Fatal(err)
	}
	for range 2 {
		s.Store = s.Reopen()
		s.want(with(zero(1, 2), checkpoint(1, 3)), map[string]int{row(1): 1})
	}
	if err := s.apply(move(1, 3, 4)); err != nil {
		s.Fatal(err)
	}
	s.want(with(zero(1, 2), checkpoint(1, 4)), map[string]int{row(1): 2})
}
