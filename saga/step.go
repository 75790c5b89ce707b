package saga

import (
	"context"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// A Step is of one kind: a change of a stream (On, Do), a call to the outside
// world (Call), a wait for a time (Wait or Until) or for a signal (Signal), a child
// saga or many of them (Child), or nothing but a branch (Next alone).
//
// Its functions must have no effects but those through tx, or of Call: they may
// run again. A panic in one is an error.
type Step[S any] struct {
	// Name is stored. It is unique in the saga, has no slash and no $ at its start.
	Name string

	// On says which stream the step changes. Of a Call it may say which calls are
	// made one after another; nil: those of one instance.
	On func(*S) string
	// Do changes the stream, in a transaction of its own. It may change the data,
	// which the later steps see. An error is tried again by the Policy. One that
	// wraps outbox.Abort, or the last attempt's, refuses the step: what was done
	// before is undone, in reverse order.
	Do func(*eventlog.Tx, *S) error
	// Undo compensates what Do did, on the stream that Do changed; nil: there is
	// nothing to undo. It runs only after it is known that Do has happened, once for
	// each time that it has. When its attempts are used up, or it aborts, the
	// instance is parked; see [Retry].
	Undo func(*eventlog.Tx, *S) error

	// Call does something outside of the log: at least once, outside of any
	// transaction. key names this execution of the step, the same in every attempt,
	// so that the other side can recognise a repetition. Errors are as those of Do;
	// Policy.Timeout bounds an attempt.
	Call func(ctx context.Context, key string, s *S) error
	// Recall compensates a Call, whose key it gets. A call that was given up before
	// its outcome was known is recalled too: it may or may not have happened.
	Recall func(ctx context.Context, key string, s *S) error

	// Wait is how long to wait; the wait outlives restarts.
	Wait time.Duration
	// Until says until when to wait.
	Until func(*S) time.Time

	// Signal is what to wait for; see [On] and [Signal].
	Signal Receiver[S]

	// Child is a saga whose end to wait for; see [Run]. A child that does not
	// complete refuses the step. When the parent goes back, its completed children
	// go back too: the child's own Undos compensate it, so each of its changes and calls
	// must have one.
	Child Child[S]
	// Keys makes the step a fan-out, of one child for each key; see Keys.
	Keys Keys[S]
	// Need is how many children of a fan-out must complete; nil or 0: all. When so
	// many have, the saga goes on, and all others are cancelled or, where they have
	// completed meanwhile, go back. When so many cannot any more, the step is refused
	// and all go back.
	Need func(*S) int

	// Timeout is how long the step may take, all its attempts together; 0: for
	// ever. When it is over and nothing was done, the step is refused with
	// ErrTimeout, or the saga goes on at OnTimeout. When the step turns out to be
	// done, it was in time.
	Timeout   time.Duration
	OnTimeout string

	// Next says which step comes next, one of Routes; nil: the following one.
	Next   func(*S) string
	Routes []string

	// Policy of Do and Undo, or of Call and Recall.
	Policy outbox.Policy
}

// NoUndo is the Undo of a step that has nothing to undo, where one is required: in
// the child of another saga.
func NoUndo[S any](*eventlog.Tx, *S) error { return nil }

// NoRecall is NoUndo for a Call.
func NoRecall[S any](context.Context, string, *S) error { return nil }

// End, as a route, completes the saga.
const End = "$end"

// kind is what a step does. It is stored with each execution, so that an instance
// can be handled whose step is gone from the definition.
type kind string

const (
	kindChange kind = "change"
	kindCall   kind = "call"
	kindWait   kind = "wait"
	kindSignal kind = "signal"
	kindChild  kind = "child"
	kindBranch kind = "branch"
)

// kinds returns the kinds that the fields speak of: one in a valid step.
func (s *Step[S]) kinds() (list []kind) {
	if s.Do != nil || s.On != nil && s.Call == nil || s.Undo != nil {
		list = append(list, kindChange)
	}
	if s.Call != nil || s.Recall != nil {
		list = append(list, kindCall)
	}
	if s.Wait != 0 || s.Until != nil {
		list = append(list, kindWait)
	}
	if s.Signal.receive != nil || s.Signal.name != "" {
		list = append(list, kindSignal)
	}
	if s.Child.saga != nil || s.Child.input != nil || s.Keys != nil || s.Need != nil {
		list = append(list, kindChild)
	}
	if len(list) == 0 {
		list = append(list, kindBranch)
	}
	return list
}
