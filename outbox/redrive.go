package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
)

// A Filter selects dead letters. All fields that are set must hold; the zero
// Filter selects all.
type Filter struct {
	ID     eventlog.ID
	Type   string
	Target string
	Err    string // is part of the error's text
}

// Match reports whether a step is selected.
func (f Filter) Match(i Info) bool {
	return (f.ID.IsZero() || f.ID == i.ID) && (f.Type == "" || f.Type == i.Type) &&
		(f.Target == "" || f.Target == i.Target) && strings.Contains(i.Err, f.Err)
}

// A Decision on dead letters says who made it and why. It is kept with them.
type Decision struct {
	By  string // required
	Why string // required to discard
	// Data, if not nil, is the step's payload from now on: JSON. It is for the
	// redriving of one letter, which the Filter names by its ID.
	Data json.RawMessage
}

// ErrDecision: a Decision lacks something or does not fit its Filter.
var ErrDecision = errors.New("invalid decision")

// Redrive has dead letters tried again, from their first attempt on, and returns
// how many. Those that somebody else decided on meanwhile are left alone. Each
// is decided in a transaction of its own, those of one target in their order; an
// error ends the work, and it can be repeated.
func Redrive(ctx context.Context, l *eventlog.Log, which Filter, d Decision) (int, error) {
	if d.Data != nil && (which.ID.IsZero() || !json.Valid(d.Data)) {
		return 0, fmt.Errorf("outbox: redrive: %w: Data is for one letter, and JSON", ErrDecision)
	}
	return decide(ctx, l, which, d, "redrive", typeRedriven)
}

// Discard gives dead letters up for good, and returns how many, like Redrive. They
// stay in the log, and a target that they stop goes on.
func Discard(ctx context.Context, l *eventlog.Log, which Filter, d Decision) (int, error) {
	if d.Why == "" || d.Data != nil {
		return 0, fmt.Errorf("outbox: discard: %w: it needs a Why, and takes no Data", ErrDecision)
	}
	return decide(ctx, l, which, d, "discard", typeDiscarded)
}
