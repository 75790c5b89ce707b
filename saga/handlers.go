package saga

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Handlers returns what an outbox.Runner needs to run the saga. It panics when
// the definition is not valid.
//
// A step of the saga is two steps of the outbox: Do (or Undo) on the step's
// stream, and the reply to the instance's own stream, which alone decides what
// is next.
func (s *Saga[S]) Handlers() []outbox.Handler {
	if err := s.check(); err != nil {
		panic(err)
	}
	list := []outbox.Handler{{Type: s.replyType(), Do: s.decide, Policy: outbox.Policy{Attempts: -1}}}
	for i := range s.Steps {
		list = append(list, s.doHandler(&s.Steps[i]))
		if s.Steps[i].Undo != nil {
			list = append(list, s.undoHandler(&s.Steps[i]))
		}
	}
	return list
}

// reply tells an instance what became of a step. An Error says that it did not
// happen and never will.
type reply struct {
	Step  string          `json:"step"`
	Undo  bool            `json:"undo,omitempty"`
	Error string          `json:"error,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

func (s *Saga[S]) send(tx *eventlog.Tx, id string, r reply) error {
	payload, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return outbox.Enqueue(tx, outbox.Raw{Type: s.replyType(), Stream: s.stream(id), Data: payload})
}

// call runs a step's function on the data of a command and replies with what it
// left.
func (s *Saga[S]) call(tx *eventlog.Tx, raw outbox.Raw, fn func(*eventlog.Tx, *S) error, r reply) error {
	var c command
	var data S
	if err := json.Unmarshal(raw.Data, &c); err != nil {
		return outbox.Abort(err)
	}
	if err := json.Unmarshal(c.Data, &data); err != nil {
		return outbox.Abort(fmt.Errorf("decode the saga's data: %w", err))
	}
	if err := fn(tx, &data); err != nil {
		return err
	}
	var err error
	if r.Data, err = encode(&data); err != nil {
		return outbox.Abort(err)
	}
	return s.send(tx, c.ID, r)
}

func (s *Saga[S]) doHandler(step *Step[S]) outbox.Handler {
	return outbox.Handler{
		Type:   s.doType(step.Name),
		Policy: step.Policy,
		Do: func(tx *eventlog.Tx, raw outbox.Raw) error {
			return s.call(tx, raw, step.Do, reply{Step: step.Name})
		},
		Failed: func(tx *eventlog.Tx, raw outbox.Raw, cause error) error {
			var c command
			if err := json.Unmarshal(raw.Data, &c); err != nil {
				return err
			}
			return s.send(tx, c.ID, reply{Step: step.Name, Error: fmt.Sprintf("%.2000s", cause)})
		},
	}
}

func (s *Saga[S]) undoHandler(step *Step[S]) outbox.Handler {
	policy := step.Policy
	policy.Attempts = -1
	return outbox.Handler{
		Type:   s.undoType(step.Name),
		Policy: policy,
		Do: func(tx *eventlog.Tx, raw outbox.Raw) error {
			err := s.call(tx, raw, step.Undo, reply{Step: step.Name, Undo: true})
			if outbox.Aborted(err) { // there is no way but forward
				err = fmt.Errorf("%v", err)
			}
			return err
		},
	}
}

// decide is the handler of replies: it says what is next. It never gives up, and
// within MaxData nothing that it writes is too large.
func (s *Saga[S]) decide(tx *eventlog.Tx, raw outbox.Raw) error {
	var r reply
	if err := json.Unmarshal(raw.Data, &r); err != nil {
		return err
	}
	i, err := instances.Load(tx, raw.Stream)
	if err != nil {
		return err
	}
	data := new(S)
	stored := []byte(i.Data)
	if r.Error == "" {
		stored = r.Data
	}
	if err := json.Unmarshal(stored, data); err != nil {
		return fmt.Errorf("decode the saga's data: %w", err)
	}
	a := s.advance(tx, strings.TrimPrefix(raw.Stream, s.prefix()), data)
	switch {
	case r.Error != "":
		a.refuse(r.Step, r.Error, i.Done)
	case r.Undo:
		a.append(stepUndone{r.Step, r.Data})
		a.undo(i.Done[:max(0, slices.Index(i.Done, r.Step))])
	default:
		a.append(stepDone{r.Step, r.Data})
		a.next(r.Step, append(i.Done, r.Step))
	}
	return a.err
}

// next sends the step behind name. One that cannot even be sent is refused.
func (a *advance[S]) next(name string, done []string) {
	n := a.index(name)
	if n < 0 {
		a.err = fmt.Errorf("%w: %s has no step %q any more", ErrDefinition, a.Name, name)
		return
	}
	if a.err != nil {
		return
	}
	a.step(n + 1)
	if err := a.err; err != nil && n+1 < len(a.Steps) {
		a.err = nil
		a.refuse(a.Steps[n+1].Name, err.Error(), done)
	}
}

func (a *advance[S]) refuse(step, cause string, done []string) {
	a.append(stepRefused{step, cause})
	a.undo(done)
}
