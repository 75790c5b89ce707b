package projection

import (
	"math/rand/v2"
	"time"
)

const (
	defaultBackoff  = 100 * time.Millisecond
	defaultAttempts = 5
	defaultGrace    = 5 * time.Second
	maxBackoff      = 100 // times the first
)

// backoff is the pause after the n-th failure in a row, n from 1: it doubles up
// to a hundredfold, and its second half is random.
func backoff(first time.Duration, n int) time.Duration {
	d := maxBackoff * first
	if n < 8 {
		d = min(d, first<<(n-1))
	}
	return d/2 + rand.N(d/2+1)
}
