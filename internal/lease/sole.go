package lease

import (
	"errors"
	"log/slog"
	"sync"
)

// A Sole is a Run of which there is one at a time. The zero Sole has none.
type Sole[T any] struct {
	mu   sync.Mutex
	live *T
}

// Begin says that a Run begins, and what it works with; one that is under way
// already is an error.
func (s *Sole[T]) Begin(e *T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		return errors.New("it runs already")
	}
	s.live = e
	return nil
}

// End says that the Run is over.
func (s *Sole[T]) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = nil
}

// Under returns what is under way, or nil.
func (s *Sole[T]) Under() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// Tell returns a Crew's Trouble that tells a logger how the leases fare.
func Tell(logger *slog.Logger) func(error) {
	return func(err error) {
		if err != nil {
			logger.Error("the leases of the shards cannot be kept", "err", err)
		} else {
			logger.Info("the leases of the shards can be kept again")
		}
	}
}
