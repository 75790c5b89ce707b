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

// Start starts an instance with the transaction: when tx commits, the instance
// exists and will be brought to its end. Starting it again with the same input
// does nothing, with other input it is refused with eventlog.ErrIDReused. Input
// beyond MaxData is refused with eventlog.ErrTooLarge.
func (s *Saga[S]) Start(tx *eventlog.Tx, id string, in S) error {
	if err := s.start(tx, id, &in); err != nil {
		return fmt.Errorf("saga: start %s/%s: %w", s.Name, id, err)
	}
	return nil
}

func (s *Saga[S]) start(tx *eventlog.Tx, id string, in *S) error {
	if err := s.check(); err != nil {
		return err
	}
	if id == "" {
		return ErrID
	}
	data, err := encode(in)
	if err != nil {
		return err
	}
	e := &engine{name: s.Name, latest: s}
	stream := streamOf(s.Name, id)
	i, err := instances.Load(tx, stream)
	switch {
	case err != nil:
		return err
	case i.State != "":
		return e.same(tx, stream, data)
	}
	d := &decision{engine: e, prog: s, tx: tx, stream: stream, id: id, i: i, strict: true}
	return tx.Savepoint(func() error { return d.start(&event{V: s.Version, Data: data}) })
}

// start puts the first event, with the first step.
func (d *decision) start(e *event) error {
	if meta := d.tx.Meta(); meta.Correlation.IsZero() {
		meta.Correlation = d.tx.ID()
	}
	if err := d.note(evStarted, e); err != nil {
		return err
	}
	if limit := d.prog.deadline(); limit > 0 {
		var err error
		if e.Deadline, err = d.alarm(d.tx.Time().Add(limit), 0); err != nil {
			return err
		}
		d.i.Deadline = numbered(d.tx.ID(), e.Deadline)
	}
	return d.forward(evStarted, e)
}

// same compares the input of an instance with that of another start, both as
// today's S writes them.
func (e *engine) same(tx *eventlog.Tx, stream string, data []byte) error {
	for r, err := range tx.Read(eventlog.Query{Stream: stream, Types: []string{evStarted}, Limit: 1}) {
		var first event
		if err == nil {
			err = json.Unmarshal(r.Data, &first)
		}
		if err != nil {
			return err
		}
		today, err := e.today(first.V, first.Data)
		if err == nil && bytes.Equal(today, data) {
			return nil
		}
	}
	return eventlog.ErrIDReused
}

// today returns input of some version as the newest one writes it.
func (e *engine) today(version int, data []byte) ([]byte, error) {
	for _, m := range e.latest.migrations() {
		if m.from == version {
			return m.data(data)
		}
	}
	if version > e.latest.version() {
		return nil, errNewer
	}
	decoded, err := e.latest.decode(data)
	if err != nil {
		return nil, err
	}
	return encode(decoded)
}

// Begin is the step of the outbox that starts an instance, for those who cannot
// call Start: an inbox that makes it of a message, or a transaction that shall not
// take part in the instance's shard. It does what Start does; what Start refuses
// becomes a dead letter.
func (s *Saga[S]) Begin(id string, in S) outbox.Step {
	return beginStep{saga: s.Name, id: id, version: s.Version, in: &in}
}

type beginStep struct {
	saga, id string
	version  int
	in       any
}

func (b beginStep) StepType() string { return typeOf(b.saga, toBegin) }
func (b beginStep) Target() string   { return streamOf(b.saga, b.id) }

func (b beginStep) MarshalJSON() ([]byte, error) {
	if b.id == "" {
		return nil, ErrID
	}
	data, err := encode(b.in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(begin{V: b.version, Data: data})
}

// begin starts an instance.
func (d *decision) begin(raw outbox.Raw) error {
	b, err := read[begin](raw)
	if err != nil {
		return err
	}
	if err := b.Parent.check(); err != nil {
		return err
	}
	if d.i.State != "" {
		return d.begun(b)
	}
	before := d.i.Clone()
	e := &event{V: d.latest.version(), Parent: b.Parent, Fork: b.Fork, To: b.At, Chain: d.tx.Meta().Correlation}
	if e.Data, err = d.today(b.V, b.Data); errors.Is(err, errNewer) {
		return err
	}
	if err != nil {
		err = &refusedStart{err}
	} else {
		d.strict = true
		err = d.tx.Savepoint(func() error { return d.start(e) })
		d.strict = false
	}
	if refused := new(refusedStart); !errors.As(err, &refused) {
		return err
	}
	if b.Parent == nil {
		return outbox.Abort(err)
	}
	*d.i, d.data = before, nil
	return d.stillborn(&event{V: e.V, Data: b.Data, Parent: b.Parent, Chain: e.Chain}, err)
}

// refusedStart is an error that lies in the input or the definition.
type refusedStart struct{ error }

func (e *refusedStart) Unwrap() error { return e.error }

// stillborn writes down a child that ended when it began.
func (d *decision) stillborn(e *event, cause error) error {
	if err := d.write(evStarted, e); err != nil {
		return err
	}
	refused := &event{Error: brief(cause), Back: CauseRefused}
	if err := d.note(evRefused, refused); err != nil {
		return err
	}
	return d.goBack(evRefused, refused)
}

// begun answers the start of an instance that there is already.
func (d *decision) begun(b begin) error {
	switch {
	case b.Parent == nil:
		return outbox.Abort(d.same(d.tx, d.stream, b.Data))
	case d.i.Parent.sameChild(b.Parent):
		return nil
	}
	r := ended{N: b.Parent.N, I: b.Parent.I, Key: b.Parent.Key, State: Compensated, Error: "the id " + d.id + " is taken"}
	return tell(d.tx, b.Parent.Saga, b.Parent.ID, toChild, r)
}
