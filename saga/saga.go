package saga

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A Saga is a definition: a literal, declared once. S is the data that its steps
// share; it is stored as JSON. A Saga must not be changed once it is used.
type Saga[S any] struct {
	// Name is stored with every instance. It has no slash.
	Name string
	// Version is stored with every instance; raise it when the steps change, and
	// name the versions before it in Earlier or in Migrations, as long as instances
	// of them may be under way.
	Version int
	// Steps run in this order, unless a step's Next says otherwise.
	Steps Steps[S]
	// Deadline is how long an instance may take; 0: for ever. One that has not
	// ended by then goes back, like one that was refused, and ends as Compensated.
	Deadline time.Duration
	// Earlier are versions whose instances finish on the version that they began
	// with.
	Earlier []Definition
	// Migrations say how instances of other versions move to this one, with the
	// next message that they get.
	Migrations []Migration[S]
}

// Steps is a list of Step.
type Steps[S any] []Step[S]

// A Definition is a *Saga of whatever data.
type Definition interface{ program }

// A Migration moves instances of an earlier version to the version of the Saga
// that it stands in.
type Migration[S any] struct {
	// From is the version that the instances have.
	From int
	// Data makes the data of this version, see [Convert]. nil: what is stored can be
	// decoded as it is.
	Data Converter[S]
	// Steps are the new names of steps that have another one now, by the old ones.
	// Of what an instance did before, the new steps' Undo is called.
	Steps map[string]string
}

// A Converter makes today's data of stored data.
type Converter[S any] func(stored json.RawMessage) (S, error)

// Convert makes a Converter from the data type Old of an earlier version. Like
// all functions of a definition fn may run again and has no effects.
func Convert[S, Old any](fn func(Old) (S, error)) Converter[S] {
	return func(stored json.RawMessage) (s S, err error) {
		var old Old
		if err := json.Unmarshal(stored, &old); err != nil {
			return s, err
		}
		return fn(old)
	}
}

// MaxData is how many bytes a saga's data may have as JSON: an instance stores
// it together with the next step, which carries it on.
const MaxData = 400_000

func encode(data any) ([]byte, error) {
	b, err := json.Marshal(data)
	if err == nil && len(b) > MaxData {
		err = fmt.Errorf("%w: data of %d bytes, at most %d", eventlog.ErrTooLarge, len(b), MaxData)
	}
	return b, err
}

// Names. An instance's stream is a system stream, so that only this package
// writes to it and the default readings of a log leave it out. The saga's name
// stands in the category, so one saga's instances can be listed, read and
// followed. (An id that is a small number decides on the shard itself, see
// eventlog; that is as good a shard as any other and always the same.)

const streamPrefix = "$saga-"

func streamOf(saga, id string) string { return streamPrefix + saga + "/" + id }

// callsOf is the target of an instance's calls: not its own stream, whose steps would
// wait for a call that hangs.
func callsOf(saga, id string) string { return "$call-" + saga + "/" + id }

// splitStream returns the names in an instance's stream.
func splitStream(stream string) (saga, id string, ok bool) {
	rest, ok := strings.CutPrefix(stream, streamPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// Types of the outbox's steps: what is done on the stream of a saga's step, and
// what is told to an instance.

func doType(saga, step string) string   { return "$saga/" + saga + "/" + step + "/do" }
func undoType(saga, step string) string { return "$saga/" + saga + "/" + step + "/undo" }
func typeOf(saga, what string) string   { return "$saga/" + saga + "/" + what }

const (
	toBegin  = "begin"
	toReply  = "reply"
	toTimer  = "timer"
	toSignal = "signal"
	toChild  = "child"  // a child tells its parent that it ended
	toFan    = "fan"    // the next children are to be started, or told to go back
	toRecall = "recall" // a parent tells its child to go back
	toCancel = "cancel"
	toRetry  = "retry"
	toSkip   = "skip"
	toFork   = "fork"
	toStop   = "stop" // for the stream of a step: take it back
)
