package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// reactorSweep is how often who follows the shards of a log looks for leases.
const reactorSweep = time.Second

// A soleRun is a Run of which there is one at a time.
type soleRun[T any] struct {
	mu   sync.Mutex
	live *T
}

func (s *soleRun[T]) begin(e *T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		return errors.New("it runs already")
	}
	s.live = e
	return nil
}

func (s *soleRun[T]) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = nil
}

// under returns what is under way, or nil.
func (s *soleRun[T]) under() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// tellLeases returns what tells a logger how the leases fare.
func tellLeases(logger *slog.Logger) func(error) {
	return func(err error) {
		if err != nil {
			logger.Error("the leases of the shards cannot be kept", "err", err)
		} else {
			logger.Info("the leases of the shards can be kept again")
		}
	}
}

// reactorPause waits for d or for ctx.
func reactorPause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
