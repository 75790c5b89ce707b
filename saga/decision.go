package saga

import (
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/atonce"
	"github.com/rollforward/rollforward/internal/sys"
	"github.com/rollforward/rollforward/outbox"
)

// A decision is what an instance makes of a message: events of its stream, and
// the steps of the outbox that they speak of, in one transaction.
type decision struct {
	*engine
	prog   program // of the instance; nil: it is not known
	lost   error   // why
	tx     *eventlog.Tx
	stream string
	id     string
	i      *instance
	data   any          // decoded; nil: not yet
	strict bool         // what goes wrong is the caller's, not the instance's
	batch  atonce.Batch // in which things can be done at once; nil: they cannot
	ran    *reply       // of the execution that was noted last, if it was done at once
	did    bool         // something was
	room   event        // of the event of succeed; the one before is put when the next one comes
}

// load makes ready for a message to an instance. One of an earlier version moves,
// if that is wanted.
func (e *engine) load(tx *eventlog.Tx, stream string) (*decision, error) {
	name, id, ok := splitStream(stream)
	if !ok || name != e.name || id == "" {
		return nil, outbox.Abort(fmt.Errorf("%s is no instance of saga %s", stream, e.name))
	}
	i, err := instances.Load(tx, stream)
	if err != nil {
		return nil, err
	}
	d := &decision{engine: e, tx: tx, stream: stream, id: id, i: i}
	if i.State == "" {
		d.prog = e.latest
		return d, nil
	}
	if meta := tx.Meta(); !i.Chain.IsZero() && meta.Correlation != i.Chain {
		meta.Correlation = i.Chain // what follows belongs to the instance's chain, whoever sent the message
	}
	var m *migration
	if d.prog, m, d.lost = e.find(i.Version); errors.Is(d.lost, errNewer) {
		return nil, d.lost
	}
	if m != nil {
		return d, d.migrate(m)
	}
	return d, nil
}

// migrate moves the instance to the version of its program.
func (d *decision) migrate(m *migration) error {
	data, err := m.data([]byte(d.i.Data))
	if err != nil {
		d.prog, d.lost = nil, err
		return nil
	}
	return d.write(evMigrated, &event{V: d.prog.version(), Data: data, Steps: m.steps})
}

// note writes down what happened, before it is clear what follows.
func (d *decision) note(typ string, e *event) error {
	if e.Data != nil {
		d.data = nil
	}
	return d.i.happen(typ, e, d.tx.ID())
}

// put appends an event that was noted, with what follows.
func (d *decision) put(typ string, e *event, tags ...string) error {
	d.i.declare(e)
	data, err := e.stored()
	if err != nil {
		return err
	}
	if err := d.tx.Append(d.stream, sys.Event{Type: typ, Data: data, Tags: tags}); err != nil {
		return err
	}
	d.i.follow(e, d.tx.ID())
	if typ == evStarted {
		d.i.Chain = e.Chain // or what the record will say, see Settle
	}
	return nil
}

// write is note and put of an event from which nothing follows.
func (d *decision) write(typ string, e *event) error {
	if err := d.note(typ, e); err != nil {
		return err
	}
	return d.put(typ, e)
}

// state returns the data of the instance.
func (d *decision) state() (any, error) {
	if d.data == nil {
		if d.prog == nil {
			return nil, d.lost
		}
		data, err := d.prog.decode([]byte(d.i.Data))
		if err != nil {
			return nil, err
		}
		d.data = data
	}
	return d.data, nil
}

// step returns the definition of a step, or says what is missing.
func (d *decision) step(name string) (stepper, error) {
	if d.prog == nil {
		return nil, d.lost
	}
	if s := d.prog.step(name); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("saga %s version %d has no step %q", d.name, d.prog.version(), name)
}

// send enqueues a step of the outbox for t, the zero time for at once, and returns
// its number in the transaction.
func (d *decision) send(t time.Time, s outbox.Raw) (int, error) {
	id, err := outbox.At(d.tx, t, s)
	return number(id), err
}

// alarm sets a timer of an execution; 0 is the deadline.
func (d *decision) alarm(due time.Time, n int) (int, error) {
	m, err := message(d.name, d.id, toTimer, timer{N: n})
	if err != nil {
		return 0, err
	}
	return d.send(due, m)
}

// calm takes a timer back, so that it costs nothing more. One that fires all the
// same does no harm.
func (d *decision) calm(id eventlog.ID) error {
	if id.IsZero() {
		return nil
	}
	_, err := outbox.Cancel(d.tx, id, d.stream)
	return err
}
