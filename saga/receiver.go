package saga

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// A Receiver is what a step waits for. [On] makes one.
type Receiver[S any] struct {
	name    string
	receive func(*S, json.RawMessage) error
}

// On makes the Receiver of the signals of that name, whose data is a V. fn puts
// what it says into the saga's data; an error refuses the step.
func On[S, V any](name string, fn func(s *S, v V) error) Receiver[S] {
	if fn == nil {
		return Receiver[S]{name: name}
	}
	return Receiver[S]{name, func(s *S, data json.RawMessage) error {
		var v V
		if len(data) > 0 {
			if err := json.Unmarshal(data, &v); err != nil {
				return fmt.Errorf("decode signal %s: %w", name, err)
			}
		}
		return fn(s, v)
	}}
}

// A Signal tells an instance that something has happened. It is a step of the
// outbox: Enqueue it in the transaction that knows, or let an inbox make it of a
// message.
//
// A signal that comes before the instance waits for it, or before the instance is
// started, counts: the first step that waits for its name takes it. Signals of one
// name are taken in the order in which they came. One that comes after the end is
// only written down.
type Signal struct {
	Saga string `json:"-"` // name of the saga
	ID   string `json:"-"` // of the instance
	Name string `json:"name"`
	// Dedup names what the signal tells: of the signals of an instance with the same
	// Name and Dedup the first counts, whatever the others carry. "": each counts.
	Dedup string `json:"dedup,omitempty"`
	// Data is stored as JSON, up to MaxSignal bytes.
	Data any `json:"data,omitempty"`
}

const (
	// MaxSignal is how many bytes the data of a signal may have as JSON.
	MaxSignal = 64_000
	// MaxHeld is how many signals wait at most until an instance takes them. What is
	// more becomes a dead letter, which can be redriven.
	MaxHeld = 128
)

// StepType returns the type of the outbox's step.
func (s Signal) StepType() string { return typeOf(s.Saga, toSignal) }

// Target returns the instance's stream.
func (s Signal) Target() string { return streamOf(s.Saga, s.ID) }

// MarshalJSON refuses a signal that no instance could take.
func (s Signal) MarshalJSON() ([]byte, error) {
	type plain Signal
	if s.Name == "" {
		return nil, errors.New("a signal needs a name")
	}
	data, err := json.Marshal(plain(s))
	if err == nil && len(data) > MaxSignal {
		err = fmt.Errorf("%w: signal %s of %d bytes, at most %d", eventlog.ErrTooLarge, s.Name, len(data), MaxSignal)
	}
	return data, err
}

var _ outbox.Step = Signal{}
