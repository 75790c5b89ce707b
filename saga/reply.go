package saga

import (
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/outbox"
)

// reply takes in what became of the execution under way.
func (d *decision) reply(raw outbox.Raw) error {
	r, err := read[reply](raw)
	if err != nil {
		return err
	}
	return d.answer(r)
}

func (d *decision) answer(r reply) error {
	cur := d.i.Cur
	if cur == nil || cur.N != r.N || d.i.Parked != "" || cur.Kind != kindChange && cur.Kind != kindCall {
		return nil // it was decided already
	}
	if err := d.calm(cur.Tick); err != nil {
		return err
	}
	if err := d.convert(&r); err != nil {
		return err
	}
	switch {
	case r.Stopped && cur.Stop != nil:
		return d.settle(true)
	case r.Stopped: // by somebody else
		r.Error = "the step was taken back"
	}
	switch {
	case r.Error == "":
		return d.succeed(r)
	case cur.Stop != nil && (cur.Stop.Why == CauseSkip || r.Lost):
		return d.settle(false)
	case r.Lost || d.i.State == Compensating:
		return d.write(evParked, &event{N: cur.N, Step: cur.Step, Parked: r.Error})
	}
	return d.refuse(cur, r.Error)
}

// convert brings the data of a reply to the version of the instance, which may have
// moved meanwhile.
func (d *decision) convert(r *reply) error {
	if r.Data == nil || r.V == d.i.Version {
		return nil
	}
	prog, m, err := d.find(r.V)
	if err == nil && (m == nil || prog.version() != d.i.Version) {
		err = fmt.Errorf("%w: data of version %d for an instance of version %d", errNewer, r.V, d.i.Version)
	}
	if err == nil {
		r.Data, err = m.data(r.Data)
	}
	return err
}

// succeed goes on behind what was done, or undone.
func (d *decision) succeed(r reply) error {
	cur := d.i.Cur
	e := &d.room
	*e = event{N: cur.N, Step: cur.Step, Data: r.Data}
	if d.i.State == Compensating {
		e.Of = cur.Of
		if err := d.note(evUndone, e); err != nil {
			return err
		}
		return d.goBack(evUndone, e)
	}
	step, err := d.step(cur.Step)
	e.Undoable = err != nil || step.undoable() // if nobody knows, somebody must look
	return d.done(e)
}

// done goes on behind what was done, or back, if that was wanted meanwhile. Behind the
// last step it is too late to go back: but for a parent, who can make a child do it
// at any time.
func (d *decision) done(e *event) error {
	stop := d.i.Cur.Stop
	if err := d.note(evDone, e); err != nil {
		return err
	}
	if stop == nil || stop.Why == CauseTimeout || stop.Why == CauseSkip {
		return d.forward(evDone, e)
	}
	if stop.Why != CauseParent {
		if step, err := d.route(new(event)); err == nil && step == nil {
			return d.forward(evDone, e)
		}
	}
	e.Back, e.Error, e.By, e.Reason = stop.Why, stop.Error, stop.By, stop.Reason
	return d.goBack(evDone, e)
}

// refuse goes back because a step will never be done.
func (d *decision) refuse(cur *run, cause string) error {
	e := &event{N: cur.N, Step: cur.Step, Error: cause, Back: CauseRefused}
	if s := cur.Stop; s != nil && s.Why != CauseTimeout {
		e.Back, e.Error, e.By, e.Reason = s.Why, s.Error, s.By, s.Reason
	}
	if err := d.note(evRefused, e); err != nil {
		return err
	}
	return d.goBack(evRefused, e)
}

// timer takes in that a time has come.
func (d *decision) timer(raw outbox.Raw) error {
	t, err := read[timer](raw)
	if err != nil {
		return err
	}
	cur := d.i.Cur
	switch {
	case t.N == 0 && d.i.State == Running:
		return d.stop(stop{Why: CauseDeadline, Error: ErrDeadline.Error()})
	case t.N == 0 || cur == nil || cur.N != t.N || d.i.State != Running:
		return nil // it was decided already
	case cur.Kind == kindWait:
		return d.done(&event{N: cur.N, Step: cur.Step})
	}
	return d.stop(stop{Why: CauseTimeout, Error: ErrTimeout.Error()})
}

// A Status's Err may be one of these; other errors of steps are known by their texts.
var (
	ErrTimeout  = errors.New("the step took longer than its Timeout")
	ErrDeadline = errors.New("the saga took longer than its Deadline")
)
