package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/internal/jitter"
)

// A Policy says how the steps of a type are treated, above all those that fail.
// The zero Policy is the default.
type Policy struct {
	// Attempts is how often a step is tried before it has failed for good: 0 is
	// 16, -1 is without end. That the store failed counts as none, also in the
	// handler: an error that wraps [eventlog.ErrUnavailable] or
	// [eventlog.ErrDiskFull].
	Attempts int
	// Backoff is the pause before the second attempt: 0 is 100 ms. It doubles with
	// each attempt up to MaxBackoff, 0: a minute; a random part of up to a half is
	// taken off.
	Backoff, MaxBackoff time.Duration
	// Ordered says that a step that has failed stops its target: the later steps
	// of its emitter's shard for that target, of whatever type, wait until it is
	// done, discarded or cancelled, also when it is a dead letter, and then go on
	// in their order. Otherwise they overtake it; and always one that is parked.
	Ordered bool
	// TTL is for how long after its time a step may still run; 0: for ever. What is
	// older becomes a dead letter with ErrExpired (or goes to Failed).
	TTL time.Duration
	// Priority: steps with a higher one go first, also before earlier steps of
	// their target, within the lane of their tenant. 0 for those that nobody asked
	// about, -100 to 100.
	Priority int
	// Timeout is how long one run of an Effect may take: 0 is 30 s.
	Timeout time.Duration
}

const (
	defaultAttempts   = 16
	defaultBackoff    = 100 * time.Millisecond
	defaultMaxBackoff = time.Minute
	defaultTimeout    = 30 * time.Second

	maxAttempts = 1_000_000
	maxPriority = 100
	maxPause    = 10 * 365 * 24 * time.Hour
)

func (p Policy) check() error {
	if p.Attempts < -1 || p.Attempts > maxAttempts {
		return fmt.Errorf("policy: Attempts is %d: -1 (without end), 0 (the default) or up to %d", p.Attempts, maxAttempts)
	}
	if p.Priority < -maxPriority || p.Priority > maxPriority {
		return fmt.Errorf("policy: Priority is %d: -%d to %d", p.Priority, maxPriority, maxPriority)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Backoff", p.Backoff}, {"MaxBackoff", p.MaxBackoff}, {"TTL", p.TTL}, {"Timeout", p.Timeout}} {
		if d.value < 0 || d.value > maxPause {
			return fmt.Errorf("policy: %s is %v: up to %v", d.name, d.value, maxPause)
		}
	}
	return nil
}

// exhausted reports whether the attempt of that number, from 1, is the last.
func (p Policy) exhausted(attempt int) bool {
	n := p.Attempts
	if n == 0 {
		n = defaultAttempts
	}
	return n > 0 && attempt >= n
}

// delay returns the pause after the attempt of that number, from 1.
func (p Policy) delay(attempt int) time.Duration {
	limit, d := p.MaxBackoff, p.Backoff
	if limit == 0 {
		limit = max(defaultMaxBackoff, d)
	}
	if d == 0 {
		d = defaultBackoff
	}
	for range attempt - 1 {
		if d *= 2; d >= limit {
			break
		}
	}
	d = min(d, limit)
	return d - jitter.N(d/2+1)
}

func (p Policy) timeout() time.Duration {
	if p.Timeout == 0 {
		return defaultTimeout
	}
	return p.Timeout
}

// ErrExpired: a step was not rolled forward within its policy's TTL.
var ErrExpired = errors.New("expired")

// Abort marks an error as permanent: the step is not tried again. Abort(nil) is
// nil.
func Abort(err error) error {
	if err == nil {
		return nil
	}
	return &abortError{err}
}

// Aborted reports whether err wraps what Abort returned.
func Aborted(err error) bool {
	var a *abortError
	return errors.As(err, &a)
}

type abortError struct{ err error }

func (e *abortError) Error() string { return e.err.Error() }
func (e *abortError) Unwrap() error { return e.err }
