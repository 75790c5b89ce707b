package saga

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// A Saga is a definition: a literal, declared once. S is the data that its steps
// share; it is stored as JSON.
type Saga[S any] struct {
	// Name is stored with every instance. It has no slash.
	Name string
	// Version is stored with every instance; raise it when the steps change.
	Version int
	// Steps run in this order.
	Steps Steps[S]
}

// Steps is a list of Step.
type Steps[S any] []Step[S]

// A Step changes one stream, in a transaction of its own.
type Step[S any] struct {
	// Name is stored. It is unique in the saga and has no slash.
	Name string
	// On says which stream the step changes.
	On func(*S) string
	// Do does the step: like every function of an Update it may run again and has
	// no other effects. It may change the data, which the later steps see. An
	// error is tried again by the Policy. One that wraps outbox.Abort, or the last
	// attempt's, ends the saga: what was done before is undone, in reverse order.
	Do func(*eventlog.Tx, *S) error
	// Undo compensates what Do did. nil: there is nothing to undo. It runs only
	// after it is known that Do has happened. It must succeed in the end: its
	// errors are tried again without end.
	Undo func(*eventlog.Tx, *S) error
	// Policy of Do. Of Undo only Backoff and MaxBackoff count.
	outbox.Policy
}

// ErrDefinition: a Saga is not valid.
var ErrDefinition = errors.New("invalid saga")

func (s *Saga[S]) check() error {
	if s.Name == "" || strings.Contains(s.Name, "/") {
		return fmt.Errorf("%w: name %q", ErrDefinition, s.Name)
	}
	if len(s.Steps) == 0 {
		return fmt.Errorf("%w: %s has no steps", ErrDefinition, s.Name)
	}
	for i, step := range s.Steps {
		switch {
		case step.Name == "" || strings.Contains(step.Name, "/"):
			return fmt.Errorf("%w: %s: name %q of step %d", ErrDefinition, s.Name, step.Name, i)
		case s.index(step.Name) != i:
			return fmt.Errorf("%w: %s: two steps %q", ErrDefinition, s.Name, step.Name)
		case step.On == nil || step.Do == nil:
			return fmt.Errorf("%w: %s: step %q lacks On or Do", ErrDefinition, s.Name, step.Name)
		}
	}
	return nil
}

// index returns the place of a step, -1 when there is none of that name.
func (s *Saga[S]) index(name string) int {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return i
		}
	}
	return -1
}

// stream is that of an instance. It is a system stream, so that only this package
// writes to it and the default readings of a log leave it out. The name of the
// saga stands in the category, so one saga's instances can be listed, read and
// followed. (An id that is a small number decides on the shard itself, see
// eventlog; that is as good a shard as any other and always the same.)
func (s *Saga[S]) stream(id string) string { return s.prefix() + id }

func (s *Saga[S]) prefix() string { return "$saga-" + s.Name + "/" }

// Types of the outbox's steps.
func (s *Saga[S]) doType(step string) string   { return "$saga/" + s.Name + "/" + step + "/do" }
func (s *Saga[S]) undoType(step string) string { return "$saga/" + s.Name + "/" + step + "/undo" }
func (s *Saga[S]) replyType() string           { return "$saga/" + s.Name }
