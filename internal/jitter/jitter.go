// Package jitter makes pauses, and draws their random parts.
package jitter

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

var fixed atomic.Int32

// N returns a random duration from 0 up to d, which is positive.
func N(d time.Duration) time.Duration {
	if fixed.Load() > 0 {
		return d / 2
	}
	return rand.N(d)
}

// Fix makes N return half of d until release is called: for tests whose seed decides
// everything.
func Fix() (release func()) {
	fixed.Add(1)
	return func() { fixed.Add(-1) }
}

// Pause waits for d, or until ctx is done, and reports that ctx is not.
func Pause(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
