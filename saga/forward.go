package saga

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/outbox"
)

// maxBranches is how many branches may follow each other without work between.
const maxBranches = 100

// errSend: a step cannot be sent with the data as it is, which refuses it.
var errSend = errors.New("the step cannot be sent")

// forward puts an event that was noted, with the execution behind it.
func (d *decision) forward(typ string, e *event) error {
	if k := len(d.i.Done); k > MaxUndo && d.i.Done[k-1].Undoable {
		return d.refuseNext(typ, e, d.i.After, fmt.Errorf("more than %d executions to undo", MaxUndo))
	}
	step, err := d.route(e)
	switch {
	case err != nil:
		return d.park(typ, e, err)
	case step == nil:
		return d.end(typ, e, Completed)
	}
	err = d.tx.Savepoint(func() error {
		if err := d.enter(e, step); err != nil {
			return err
		}
		return d.put(typ, e)
	})
	if err == nil {
		return d.ready()
	}
	d.ran = nil
	switch {
	case errors.Is(err, errSend):
		return d.refuseNext(typ, e, step.stepName(), err)
	case errors.Is(err, errPark):
		return d.park(typ, e, err)
	}
	return err
}

// park puts an event behind which the instance stands still.
func (d *decision) park(typ string, e *event, cause error) error {
	if d.strict {
		return &refusedStart{cause}
	}
	e.Next, e.Parked = nil, brief(cause)
	return d.put(typ, e)
}

// MaxUndo is how many executions with something to undo an instance may have: a loop
// beyond it is refused.
const MaxUndo = 1000

// errPark: a function of the definition failed that cannot.
var errPark = errors.New("the definition is wrong")

// refuseNext puts an event and says that the step behind it is refused.
func (d *decision) refuseNext(typ string, e *event, step string, cause error) error {
	if d.strict {
		return &refusedStart{cause}
	}
	e.Next = nil
	if err := d.put(typ, e); err != nil {
		return err
	}
	refused := &event{Step: step, Error: brief(cause), Back: CauseRefused}
	if err := d.note(evRefused, refused); err != nil {
		return err
	}
	return d.goBack(evRefused, refused)
}

// route finds the step that comes next; nil is the end. Branches on the way are
// noted in e.
func (d *decision) route(e *event) (stepper, error) {
	after, to := d.i.After, d.i.To
	for range maxBranches {
		if to == "" {
			var err error
			if to, err = d.behind(after); err != nil {
				return nil, err
			}
		}
		if to == End {
			return nil, nil
		}
		step, err := d.step(to)
		if err != nil || step.kind() != kindBranch {
			return step, err
		}
		e.Via = append(e.Via, to)
		after, to = to, ""
	}
	return nil, fmt.Errorf("more than %d branches without work between: %s", maxBranches, e.Via[:4])
}

// behind returns what comes behind a step, first of all behind "".
func (d *decision) behind(after string) (string, error) {
	if d.prog == nil {
		return "", d.lost
	}
	if after == "" {
		return d.prog.following(""), nil
	}
	step, err := d.step(after)
	if err != nil || len(step.routes()) == 0 {
		return d.prog.following(after), err
	}
	data, err := d.state()
	if err != nil {
		return "", err
	}
	to := ""
	if err := guard(func() error { to = step.next(d.view(data)); return nil }); err != nil {
		return "", fmt.Errorf("the Next of step %q: %w", after, err)
	}
	if !slices.Contains(step.routes(), to) {
		return "", fmt.Errorf("the Next of step %q says %q, which is none of its Routes", after, to)
	}
	return to, nil
}

// enter sends the execution of a step, and notes it in e.
func (d *decision) enter(e *event, step stepper) error {
	data, err := d.state()
	if err != nil {
		return fmt.Errorf("%w: %w", errPark, err)
	}
	n := &next{N: d.i.Seq + 1, Step: step.stepName(), Kind: step.kind()}
	e.Next = n
	switch n.Kind {
	case kindChange, kindCall:
		err = d.enterWork(n, step, data)
	case kindWait:
		err = d.enterWait(n, step, data)
	case kindSignal:
		n.Signal = step.signal()
	case kindChild:
		err = d.enterChild(n, step, data)
	}
	if err != nil {
		return err
	}
	if limit, _ := step.timeout(); limit > 0 && d.ran == nil {
		due := d.tx.Time().Add(limit)
		n.Due = &due
		n.Timer, err = d.alarm(due, n.N)
	}
	return err
}

func (d *decision) enterWork(n *next, step stepper, data any) error {
	if err := guard(func() error { n.On = step.on(d.view(data)); return nil }); err != nil {
		return fmt.Errorf("%w: On of step %q: %w", errPark, n.Step, err)
	}
	if n.On == "" && n.Kind == kindCall {
		n.On = callsOf(d.name, d.id)
	}
	return d.command(n, step, doType(d.name, n.Step))
}

// command sends a step's Do or Undo to its stream.
func (d *decision) command(n *next, step stepper, typ string) error {
	if err := checkTarget(n.On); err != nil {
		return err
	}
	c := command{ID: d.id, N: n.N, Of: n.Of, V: d.i.Version, Data: []byte(d.i.Data)}
	if d.atOnce(&c, n, step, typ) {
		d.batch.Did(typ)
		return nil
	}
	data, err := c.stored()
	if err != nil {
		return err
	}
	n.Sent, err = d.send(time.Time{}, outbox.Raw{Type: typ, Stream: n.On, Data: data})
	if errors.Is(err, outbox.ErrStep) {
		err = fmt.Errorf("%w: %w", errSend, err)
	}
	return err // one that is too large beside others goes into a commit of its own
}

// checkTarget refuses a name that is too long here, where it can be told from a commit
// that is too large because of others.
func checkTarget(stream string) error {
	if n := driver.EscapedLen(stream); n > eventlog.MaxName {
		return fmt.Errorf("%w: %w: the name %.60q… has %d bytes escaped, at most %d", errSend, eventlog.ErrTooLarge, stream, n, eventlog.MaxName)
	}
	return nil
}

func (d *decision) enterWait(n *next, step stepper, data any) error {
	due := d.tx.Time()
	if err := guard(func() error { due = step.due(d.view(data), due); return nil }); err != nil {
		return fmt.Errorf("%w: Until of step %q: %w", errPark, n.Step, err)
	}
	n.Due = &due
	var err error
	n.Timer, err = d.alarm(due, n.N)
	return err
}

// ready goes on at once where what was entered is there already.
func (d *decision) ready() error {
	if r := d.ran; r != nil {
		d.ran, d.strict = nil, false // what was to be refused would have been
		return d.answer(*r)
	}
	cur := d.i.Cur
	if cur == nil || cur.Kind != kindSignal {
		return nil
	}
	return d.take()
}

// end puts the last event.
func (d *decision) end(typ string, e *event, s State) error {
	e.End = s
	if err := d.put(typ, e); err != nil {
		return err
	}
	if err := d.calm(d.i.Deadline); err != nil {
		return err
	}
	return d.report(d.i.Parent)
}

// report tells the parent that its child has ended.
func (d *decision) report(p *parent) error {
	if p == nil || p.Quiet {
		return nil
	}
	r := ended{N: p.N, I: p.I, Key: p.Key, State: d.i.State, Error: d.i.Err}
	if p.Asks && r.State == Completed {
		r.Data = []byte(d.i.Data)
	}
	return tell(d.tx, p.Saga, p.ID, toChild, r)
}
