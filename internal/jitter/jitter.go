// Package jitter draws the random parts of pauses.
package jitter

import (
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
