package saga

import (
	"encoding/json"
	"time"

	"github.com/rollforward/rollforward/outbox"
)

// stop takes back what is under way. Only the stream of a step can tell whether
// the step is done: so it is asked, and what happens is decided by its answer.
func (d *decision) stop(s stop) error {
	cur := d.i.Cur
	e := &event{Why: s.Why, Error: s.Error, To: s.To, By: s.By, Reason: s.Reason}
	if cur != nil {
		e.N, e.Step = cur.N, cur.Step
	}
	switch {
	case cur == nil: // parked between two steps
		d.i.Cur = &run{Stop: &s}
		return d.settle(false)
	case cur.Stop != nil:
		switch {
		case s.Why.stronger(cur.Stop.Why):
			return d.write(evStopping, e)
		case s.By != "" || s.Reason != "":
			return d.deny(s.Why, s.By, s.Reason, "the step is being stopped already, because of "+string(cur.Stop.Why))
		}
		return nil
	case cur.Kind == kindChild:
		return d.stopChildren(e, s)
	case d.i.Parked != "" || cur.Kind == kindWait || cur.Kind == kindSignal: // nothing is under way elsewhere
		cur.Stop = &s
		if err := d.calm(cur.Tick); err != nil {
			return err
		}
		return d.settle(false)
	}
	if err := d.askBack(cur); err != nil {
		return err
	}
	return d.write(evStopping, e)
}

func (d *decision) askBack(cur *run) error {
	data, err := json.Marshal(back{ID: d.id, N: cur.N, Step: cur.ID})
	if err != nil {
		return err
	}
	_, err = d.send(time.Time{}, outbox.Raw{Type: typeOf(d.name, toStop), Stream: cur.On, Data: data})
	return err
}

// settle goes on, or back, when what was under way is known not to be done, or, if
// begun, may have happened outside of the log.
func (d *decision) settle(begun bool) error {
	cur := d.i.Cur
	s := cur.Stop
	e := &event{N: cur.N, Step: cur.Step, Why: s.Why, By: s.By, Reason: s.Reason, Error: s.Error, To: s.To}
	if begun && cur.Kind == kindCall && d.i.State == Running {
		step, err := d.step(cur.Step)
		e.Unsure = err != nil || step.undoable()
	}
	if d.i.State == Compensating {
		e.Of = cur.Of
	}
	if s.Why == CauseTimeout {
		if step, err := d.step(cur.Step); err == nil {
			_, e.To = step.timeout()
		}
	}
	forward := s.Why == CauseSkip || s.Why == CauseTimeout && e.To != ""
	if !forward {
		e.Back = s.Why
	}
	if err := d.note(evStopped, e); err != nil {
		return err
	}
	if forward && d.i.State == Running {
		return d.forward(evStopped, e)
	}
	return d.goBack(evStopped, e)
}
