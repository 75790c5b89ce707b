package projection

import (
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

var (
	// ErrMoved is a sink's refusal: another runner has moved the checkpoint, or
	// the projection was reset.
	ErrMoved = errors.New("checkpoint moved")
	// ErrVersion: the sink holds a newer version of the projection than the
	// program. A rebuild takes it back.
	ErrVersion = errors.New("newer version of the projection in the sink")
	// ErrOtherLog: the read model was built from another log than this one, or
	// from a part of its history that it lost. A rebuild mends it.
	ErrOtherLog = errors.New("read model of another log")
	// ErrFull is what a sink's transaction says to a handler when it takes no more.
	// A batch of several commits is then tried with fewer events.
	ErrFull = errors.New("the transaction is full")
	// ErrUnknownProjection: the runner has no projection of this name.
	ErrUnknownProjection = errors.New("unknown projection")
)

// An EventError says which event a projection cannot handle.
type EventError struct {
	Projection string
	Record     eventlog.Record
	Err        error // of the handler; a panic is an error too
}

func (e *EventError) Error() string {
	return fmt.Sprintf("%s at %s version %d (shard %d revision %d): %v",
		e.Record.Type, e.Record.Stream, e.Record.Version, e.Record.Shard, e.Record.Revision, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }

// permanent reports whether repeating cannot help.
func (e *EventError) permanent() bool {
	var undecodable *decodeError
	return errors.Is(e.Err, eventlog.ErrUnknownType) || errors.As(e.Err, &undecodable)
}

// decodeError marks an event whose payload is not what its handler expects.
type decodeError struct{ error }

func (e *decodeError) Unwrap() error { return e.error }

// resetError marks what Projection.Reset said.
type resetError struct{ error }

func (e *resetError) Error() string { return "reset: " + e.error.Error() }

func (e *resetError) Unwrap() error { return e.error }

var errNoReset = errors.New("the projection has no Reset, so it cannot start anew")
