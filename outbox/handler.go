package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/rollforward/rollforward/eventlog"
)

// A Handler does the steps of one type. [On] and [Effect] make one for a Go type.
type Handler struct {
	// Type is the step type. One that ends in "/*" is a family: it stands for all
	// types that begin with what is before the star and that no other Handler of the
	// Runner names; of several families the smallest one counts.
	Type string
	// Do does a step. It is a function of an Update: it reads and writes through
	// tx, may run again, and must not have other effects; it should heed
	// tx.Context(), which ends when the runner has to stop. What it writes commits
	// together with the mark that the step is done. An error (or a panic) rolls
	// it back and is tried again by Policy, or never if it wraps Abort, or elsewhere
	// if it wraps Park.
	Do func(tx *eventlog.Tx, s Raw) error
	// Effect, in place of Do, is for effects outside of the log; see [Effect].
	Effect func(ctx context.Context, key string, s Raw) (Step, error)
	// Failed, if not nil, decides what a step leaves behind that has failed for
	// good, in place of a dead letter; err is why. The step counts as done then.
	// An error of Failed is tried again without end, but for one that wraps Park.
	Failed func(tx *eventlog.Tx, s Raw, err error) error
	// Policy says how often a failing step is tried, and what else is special.
	Policy Policy

	fit int // steps that a batch takes of it since it does things at once; 0: it does not
}

func (h *Handler) check() error {
	switch {
	case h.Type == "":
		return errors.New("no Type")
	case (h.Do == nil) == (h.Effect == nil):
		return errors.New("it needs one of Do and Effect")
	}
	return h.Policy.check()
}

// On makes the handler for the steps of type S. p may be nil.
func On[S Step](fn func(tx *eventlog.Tx, s S) error, p *Policy) Handler {
	h := handler[S](p)
	h.Do = func(tx *eventlog.Tx, r Raw) error {
		s, err := decode[S](r)
		if err != nil {
			return err
		}
		return fn(tx, s)
	}
	return h
}

// Effect makes the handler for steps of type S whose effect is outside of the
// log: a request to a server, a mail. fn runs outside of any commit, within the
// policy's Timeout, at least once; a crash, or a runner that takes over, may run
// it again, each time with the same key, so that the other side can recognise
// the repetition. The step that it returns, if any, is enqueued in the commit
// that marks this one as done, once, however often fn ran. An error is tried
// again by the policy.
//
// The steps of one target are done one after another: an Effect that hangs holds
// up its target, and no other.
func Effect[S Step](fn func(ctx context.Context, key string, s S) (Step, error), p *Policy) Handler {
	h := handler[S](p)
	h.Effect = func(ctx context.Context, key string, r Raw) (Step, error) {
		s, err := decode[S](r)
		if err != nil {
			return nil, err
		}
		return fn(ctx, key, s)
	}
	return h
}

func handler[S Step](p *Policy) Handler {
	h := Handler{Type: zero[S]().StepType()}
	if p != nil {
		h.Policy = *p
	}
	return h
}

func decode[S Step](r Raw) (s S, err error) {
	if err := json.Unmarshal(r.Data, &s); err != nil {
		return s, Abort(fmt.Errorf("decode: %w", err))
	}
	return s, nil
}

// zero returns a value whose StepType can be called.
func zero[S Step]() S {
	var s S
	if t := reflect.TypeFor[S](); t.Kind() == reflect.Pointer {
		s = reflect.New(t.Elem()).Interface().(S)
	}
	return s
}
