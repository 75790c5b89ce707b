package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A Handler does the steps of one type. [On] makes one for a Go type.
type Handler struct {
	// Type is the step type.
	Type string
	// Do does a step. It is a function of an Update: it reads and writes through
	// tx, may run again, and must not have other effects; it should heed
	// tx.Context(), which ends when the runner has to stop. What it writes commits
	// together with the mark that the step is done. An error (or a panic) rolls
	// it back and is tried again by Policy, or never if it wraps Abort.
	Do func(tx *eventlog.Tx, s Raw) error
	// Effect, in place of Do, is for effects outside of the log.
	Effect func(ctx context.Context, key string, s Raw) (Step, error)
	// Failed, if not nil, decides what a step leaves behind that has failed for
	// good, in place of a dead letter; err is why. The step counts as done then.
	// An error of Failed is tried again without end.
	Failed func(tx *eventlog.Tx, s Raw, err error) error
	// Policy says how often a failing step is tried.
	Policy Policy
}

// On makes the handler for the steps of type S. p may be nil.
func On[S Step](fn func(tx *eventlog.Tx, s S) error, p *Policy) Handler {
	h := Handler{Type: zero[S]().StepType()}
	if p != nil {
		h.Policy = *p
	}
	h.Do = func(tx *eventlog.Tx, r Raw) error {
		var s S
		if err := json.Unmarshal(r.Data, &s); err != nil {
			return Abort(fmt.Errorf("decode: %w", err))
		}
		return fn(tx, s)
	}
	return h
}

// zero returns a value whose StepType can be called.
func zero[S Step]() S {
	var s S
	if t := reflect.TypeFor[S](); t.Kind() == reflect.Pointer {
		s = reflect.New(t.Elem()).Interface().(S)
	}
	return s
}

// A Policy says how often and how fast a failing step is tried. The zero Policy
// is the default.
type Policy struct {
	// Attempts is how often a step is tried before it has failed for good: 0 is
	// 16, negative is without end.
	Attempts int
	// Backoff is the pause before the second attempt: 0 is 100 ms. It doubles with
	// each attempt up to MaxBackoff, 0: a minute; a random part of up to a half is
	// taken off.
	Backoff, MaxBackoff time.Duration
}

const (
	defaultAttempts   = 16
	defaultBackoff    = 100 * time.Millisecond
	defaultMaxBackoff = time.Minute
)

func (p Policy) check() error {
	if p.Backoff < 0 || p.MaxBackoff < 0 {
		return errors.New("a policy's Backoff and MaxBackoff cannot be negative")
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
		limit = defaultMaxBackoff
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
	return d - rand.N(d/2+1)
}

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
