package sinktest

import (
	"sync"

	"github.com/rollforward/rollforward/projection"
)

func testUnknown[T any](s *suite[T]) {
	s.want(projection.State{}, s.rows())
	s.is(s.apply(move(0, 0, 1)), projection.ErrMoved)
	s.want(projection.State{}, s.rows())
}

func testReset[T any](s *suite[T]) {
	s.reset(0, 1, 3)
	s.want(zero(1, 3), nil)
	if err := s.apply(move(1, 0, 4)); err != nil {
		s.Fatal(err)
	}
	s.reset(1, 1, 3)
	s.want(zero(1, 3), nil)
}

func testResetHeld[T any](s *suite[T]) {
	held := func(held int) error {
		return s.Sink.Reset(s.Context(), projection.Reset{Name: name, Held: held, Version: 2, Shards: 2}, s.Clear)
	}
	s.is(held(1), projection.ErrMoved)
	s.want(projection.State{}, s.rows())
	s.reset(0, 1, 2)
	if err := s.apply(move(0, 0, 1)); err != nil {
		s.Fatal(err)
	}
	s.is(held(0), projection.ErrMoved)
	s.is(held(2), projection.ErrMoved)
	s.want(with(zero(1, 2), checkpoint(0, 1)), map[string]int{row(0): 1})
}

func testResetFails[T any](s *suite[T]) {
	s.reset(0, 1, 2)
	if err := s.apply(move(0, 0, 1)); err != nil {
		s.Fatal(err)
	}
	again := projection.Reset{Name: name, Held: 1, Version: 2, Shards: 2}
	s.is(s.Sink.Reset(s.Context(), again, func(tx T) error {
		if err := s.Clear(tx); err != nil {
			s.Error(err)
		}
		return errTest
	}), errTest)
	func() {
		defer func() { recover() }()
		_ = s.Sink.Reset(s.Context(), again, func(tx T) error {
			if err := s.Clear(tx); err != nil {
				s.Error(err)
			}
			panic("test")
		})
	}()
	s.want(with(zero(1, 2), checkpoint(0, 1)), map[string]int{row(0): 1})
}

func testResetVersions[T any](s *suite[T]) {
	s.reset(0, 1, 2)
	if err := s.apply(move(0, 0, 1)); err != nil {
		s.Fatal(err)
	}
	s.reset(1, 5, 3)
	s.want(zero(5, 3), nil)
	s.reset(5, 1, 2)
	s.want(zero(1, 2), nil)
	s.is(s.apply(move(2, 0, 1)), projection.ErrMoved) // there is no such shard any more
	if err := s.apply(move(0, 0, 2)); err != nil {
		s.Fatal(err)
	}
	s.want(with(zero(1, 2), checkpoint(0, 2)), map[string]int{row(0): 1})
}

func testRaceReset[T any](s *suite[T]) {
	const racers = 4
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.Sink.Reset(s.Context(), projection.Reset{Name: name, Version: 1, Shards: 2}, func(tx T) error {
				if err := s.Clear(tx); err != nil {
					return err
				}
				return s.Add(tx, "winner", i+1)
			})
		})
	}
	wg.Wait()
	s.want(zero(1, 2), map[string]int{"winner": s.winner(errs) + 1})
}

// winner returns the index of the only nil; the others must wrap ErrMoved.
func (s *suite[T]) winner(errs []error) int {
	s.Helper()
	won := -1
	for i, err := range errs {
		switch {
		case err != nil:
			s.is(err, projection.ErrMoved)
		case won >= 0:
			s.Errorf("%d and %d have won", won, i)
		default:
			won = i
		}
	}
	if won < 0 {
		s.Error("nobody has won")
	}
	return won
}
