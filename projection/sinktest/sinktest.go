// Package sinktest is a table of what a projection.Sink promises, as tests. A
// sink's own test brings a Store and calls Run:
//
//	func TestSink(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Store[*sql.Tx] { … })
//	}
package sinktest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/projection"
)

// A Store is an empty sink with what the suite needs to see rows in it.
type Store[T any] struct {
	Sink projection.Sink[T]
	// Clear makes the rows an empty set. The suite passes it to Reset.
	Clear func(tx T) error
	// Add adds n to the row of this key, which begins with 0.
	Add func(tx T, key string, n int) error
	// Rows returns what is committed, seen from outside of any transaction.
	Rows func(ctx context.Context) (map[string]int, error)
	// Reopen closes the sink and opens it again, as a new process does.
	Reopen func() Store[T]
}

// Run runs the suite. open returns a fresh store, and releases it by t.Cleanup.
func Run[T any](t *testing.T, open func(t *testing.T) Store[T]) {
	for _, p := range promises[T]() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("promised: %s", p.promise)
				}
			})
			p.test(&suite[T]{T: t, Store: open(t)})
		})
	}
}

type promise[T any] struct {
	name, promise string
	test          func(s *suite[T])
}

func promises[T any]() []promise[T] {
	return []promise[T]{
		{"Unknown", "A projection that the sink does not hold has the zero State.", testUnknown[T]},
		{"Reset", "Reset sets all checkpoints to zero and runs its function, in one transaction.", testReset[T]},
		{"ResetHeld", "Reset with another Held than the sink's does nothing and returns ErrMoved.", testResetHeld[T]},
		{"ResetFails", "A Reset whose function fails or panics leaves everything as it was.", testResetFails[T]},
		{"ResetVersions", "Reset goes to higher and lower versions and forgets the checkpoints of the others.", testResetVersions[T]},
		{"Apply", "Apply commits rows and checkpoint together, and State returns the checkpoint as it was given.", testApply[T]},
		{"ApplyEmpty", "Apply moves a checkpoint also when its function writes nothing.", testApplyEmpty[T]},
		{"ApplySeveral", "A batch moves all its shards, or none.", testApplySeveral[T]},
		{"ApplyFails", "An Apply whose function fails or panics leaves everything as it was and returns its error.", testApplyFails[T]},
		{"ApplyStale", "An Apply from where the checkpoint is not leaves everything as it was and returns ErrMoved.", testApplyStale[T]},
		{"ApplyVersion", "An Apply to a version that the sink does not hold leaves everything as it was and returns ErrMoved.", testApplyVersion[T]},
		{"ApplyTwice", "A batch that is repeated takes effect once.", testApplyTwice[T]},
		{"ApplyCanceled", "An Apply whose context has ended does nothing.", testApplyCanceled[T]},
		{"Note", "A note is in the State as it was given until another one, nil or a Reset takes its place, and nothing else is touched by it.", testNote[T]},
		{"Race", "Of batches that move one checkpoint from one place at the same time exactly one takes effect.", testRace[T]},
		{"RaceReset", "Of Resets from one version at the same time exactly one takes effect.", testRaceReset[T]},
		{"Shards", "Batches of different shards at the same time all take effect.", testShards[T]},
		{"Apart", "Projections do not touch each other's checkpoints, whatever they are called.", testApart[T]},
		{"Reopen", "What was committed is there when the sink is opened again.", testReopen[T]},
	}
}

// A suite is one test over one store.
type suite[T any] struct {
	*testing.T
	Store[T]
}

// errTest is what the suite's functions fail with.
var errTest = errors.New("test")

const name = "tests"

// reset puts the projection at its beginning.
func (s *suite[T]) reset(held, version, shards int) {
	s.Helper()
	err := s.Sink.Reset(s.Context(), projection.Reset{Name: name, Held: held, Version: version, Shards: shards}, s.Clear)
	if err != nil {
		s.Fatalf("reset: %v", err)
	}
}

// apply moves checkpoints of version 1 and adds 1 to the row of each shard.
func (s *suite[T]) apply(moves ...projection.Move) error {
	return s.Sink.Apply(s.Context(), projection.Batch{Name: name, Version: 1, Moves: moves}, func(tx T) error {
		for _, m := range moves {
			if err := s.Add(tx, row(m.To.Shard), 1); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *suite[T]) state() projection.State {
	s.Helper()
	state, err := s.Sink.State(s.Context(), name)
	if err != nil {
		s.Fatalf("state: %v", err)
	}
	return state
}

func (s *suite[T]) rows() map[string]int {
	s.Helper()
	rows, err := s.Rows(s.Context())
	if err != nil {
		s.Fatalf("rows: %v", err)
	}
	return rows
}

// want compares what the sink holds.
func (s *suite[T]) want(state projection.State, rows map[string]int) {
	s.Helper()
	if diff := cmp.Diff(state, s.state(), cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(rows, s.rows(), cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("rows (-want +got):\n%s", diff)
	}
}

// is fails unless err wraps target.
func (s *suite[T]) is(err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Errorf("error %v, want one that wraps %v", err, target)
	}
}
