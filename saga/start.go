package saga

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// ErrID: an instance needs an id.
var ErrID = errors.New("no id")

// MaxData is how many bytes a saga's data may have as JSON: an instance stores
// it together with the next step, which carries it on.
const MaxData = 400_000

func encode[S any](data *S) ([]byte, error) {
	b, err := json.Marshal(data)
	if err == nil && len(b) > MaxData {
		err = fmt.Errorf("%w: data of %d bytes, at most %d", eventlog.ErrTooLarge, len(b), MaxData)
	}
	return b, err
}

// Start starts an instance with the transaction: when tx commits, the instance
// exists and will be brought to its end. Starting it again with the same input
// does nothing, with other input it is refused with eventlog.ErrIDReused. Input
// beyond MaxData is refused with eventlog.ErrTooLarge.
func (s *Saga[S]) Start(tx *eventlog.Tx, id string, in S) error {
	if err := s.start(tx, id, in); err != nil {
		return fmt.Errorf("saga: start %s/%s: %w", s.Name, id, err)
	}
	return nil
}

func (s *Saga[S]) start(tx *eventlog.Tx, id string, in S) error {
	if err := s.check(); err != nil {
		return err
	}
	if id == "" {
		return ErrID
	}
	data, err := encode(&in)
	if err != nil {
		return err
	}
	i, err := instances.Load(tx, s.stream(id))
	switch {
	case err != nil:
		return err
	case i.State != "":
		return s.same(i, data)
	}
	return tx.Savepoint(func() error {
		a := s.advance(tx, id, &in)
		a.append(started{s.Version, data})
		a.step(0)
		return a.err
	})
}

// same compares the input of an instance with that of another start, both as
// today's S writes them.
func (s *Saga[S]) same(i *instance, data []byte) error {
	var first S
	if err := json.Unmarshal([]byte(i.Input), &first); err != nil {
		return err
	}
	again, err := json.Marshal(first)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return eventlog.ErrIDReused
	}
	return nil
}

// An advance writes what follows from a decision: events of the instance and
// the next step. Its first error sticks.
type advance[S any] struct {
	*Saga[S]
	tx   *eventlog.Tx
	id   string
	data *S
	err  error
}

func (s *Saga[S]) advance(tx *eventlog.Tx, id string, data *S) *advance[S] {
	return &advance[S]{Saga: s, tx: tx, id: id, data: data}
}

func (a *advance[S]) append(e eventlog.Event) {
	if a.err != nil {
		return
	}
	stored, err := system(e)
	if err == nil {
		err = a.tx.Append(a.stream(a.id), stored)
	}
	a.err = err
}

// command is the payload of a step on a saga step's stream.
type command struct {
	ID   string          `json:"id"` // of the instance
	Data json.RawMessage `json:"data"`
}

// send enqueues a step of the saga for its target.
func (a *advance[S]) send(typ string, step *Step[S]) {
	if a.err != nil {
		return
	}
	a.err = func() error {
		data, err := encode(a.data)
		if err != nil {
			return err
		}
		payload, err := json.Marshal(command{a.id, data})
		if err != nil {
			return err
		}
		return outbox.Enqueue(a.tx, outbox.Raw{Type: typ, Stream: step.On(a.data), Data: payload})
	}()
}

// step sends the step at place n, or completes the saga behind the last one.
func (a *advance[S]) step(n int) {
	if n == len(a.Steps) {
		a.append(completed{})
		return
	}
	step := &a.Steps[n]
	a.send(a.doType(step.Name), step)
}

// undo sends the Undo of the last step of done that has one, or ends the saga.
func (a *advance[S]) undo(done []string) {
	for len(done) > 0 && a.err == nil {
		name := done[len(done)-1]
		done = done[:len(done)-1]
		n := a.index(name)
		if n < 0 {
			a.err = fmt.Errorf("%w: %s has no step %q to undo", ErrDefinition, a.Name, name)
			return
		}
		if step := &a.Steps[n]; step.Undo != nil {
			a.send(a.undoType(name), step)
			return
		}
	}
	a.append(compensated{})
}
