package saga

import (
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// MaxChildren is how many children a fan-out may have: one that would have more is
// refused.
const MaxChildren = 1_000_000

const (
	chunkChildren = 256     // children that one transaction starts, or tells to go back
	chunkBytes    = 256_000 // of their input, about
)

// enterChild starts a child, or asks for the first of many to be started.
func (d *decision) enterChild(n *next, step stepper, data any) error {
	n.Saga, n.Fan = step.child().sagaName(), step.fans()
	if !n.Fan {
		n.Count = 1
		_, err := d.beget(childID(d.id, n.Step, n.N, false, 1), &parent{N: n.N, I: 1}, step, data)
		return err
	}
	n.More = true
	if err := guard(func() error { n.Need = step.need(data); return nil }); err != nil {
		return fmt.Errorf("%w: Need of step %q: %w", errPark, n.Step, err)
	}
	if n.Need < 0 {
		return fmt.Errorf("%w: Need of step %q says %d", errPark, n.Step, n.Need)
	}
	return tell(d.tx, d.name, d.id, toFan, spread{N: n.N})
}

// beget starts a child, and returns how large its input is.
func (d *decision) beget(id string, p *parent, step stepper, data any) (size int, err error) {
	p.Saga, p.ID, p.Asks = d.name, d.id, step.asks()
	b := begin{V: step.child().version(), Parent: p}
	err = guard(func() (err error) { b.Data, err = step.input(data, p.Key); return err })
	if err != nil {
		return 0, fmt.Errorf("%w: the input of child %q: %w", errSend, p.Key, err)
	}
	saga := step.child().sagaName()
	if err := checkTarget(streamOf(saga, id)); err != nil {
		return 0, err
	}
	return len(b.Data), tell(d.tx, saga, id, toBegin, b)
}

// spread goes on with a fan-out.
func (d *decision) spread(raw outbox.Raw) error {
	s, err := read[spread](raw)
	switch {
	case err != nil:
		return err
	case s.Dismiss:
		return d.dismiss(s)
	case d.i.fan(s.N) == nil || !d.i.Cur.Fan.More:
		return nil // it was decided already
	case d.i.Cur.Of != 0:
		return d.recallMore()
	}
	return d.begetMore()
}

// begetMore starts the next children.
func (d *decision) begetMore() error {
	cur := d.i.Cur
	step, err := d.step(cur.Step)
	if err != nil {
		return err
	}
	data, err := d.state()
	if err != nil {
		return err
	}
	list, err := step.keys(d.tx, data, cur.Fan.Cursor, chunkChildren)
	if err == nil {
		err = checkKeys(list, cur.Fan.Cursor, chunkChildren)
	}
	if err != nil {
		return fmt.Errorf("Keys of step %q: %w", cur.Step, err)
	}
	if cur.Fan.Count+len(list) > MaxChildren {
		return d.stop(stop{Why: CauseRefused, Error: fmt.Sprintf("more than %d children", MaxChildren)})
	}
	e := &event{N: cur.N, More: len(list) > 0}
	for size := 0; e.Count < len(list) && size < chunkBytes; e.Count++ {
		e.Cursor = list[e.Count]
		p := &parent{N: cur.N, I: cur.Fan.Count + e.Count + 1, Key: e.Cursor}
		n, err := d.beget(childID(d.id, cur.Fan.Step, cur.N, true, p.I), p, step, data)
		if errors.Is(err, errSend) {
			if err := d.write(evSpread, e); err != nil {
				return err
			}
			return d.stop(stop{Why: CauseRefused, Error: brief(err)})
		}
		if err != nil {
			return err
		}
		size += n
	}
	if err := d.write(evSpread, e); err != nil {
		return err
	}
	if e.More {
		return tell(d.tx, d.name, d.id, toFan, spread{N: cur.N})
	}
	return d.tally(&event{N: cur.N, Step: cur.Step})
}

// child takes in that a child has ended.
func (d *decision) child(raw outbox.Raw) error {
	r, err := read[ended](raw)
	if err != nil {
		return err
	}
	f := d.i.fan(r.N)
	switch {
	case f == nil:
		return nil // nobody waits for it any more
	case r.I < 1 || r.I > max(f.Count, f.Total):
		return outbox.Abort(fmt.Errorf("saga %s/%s: execution %d has no child %d", d.name, d.id, r.N, r.I))
	case f.OK.has(r.I-1) || f.Bad.has(r.I-1):
		return nil // it was counted already
	}
	e := &event{N: r.N, I: r.I, OK: r.State == Completed && d.i.Cur.Of == 0}
	if !e.OK {
		e.Error = r.Error
	}
	var bad error
	if e.OK && r.Data != nil {
		if e.Data, bad, err = d.takeOut(r); err != nil {
			return err
		}
	}
	if bad != nil {
		if err := d.write(evChild, e); err != nil {
			return err
		}
		return d.stop(stop{Why: CauseRefused, Error: brief(bad)})
	}
	return d.tally(e)
}

// takeOut puts what a child came to into the data. bad says why it does not fit.
func (d *decision) takeOut(r ended) (stored []byte, bad, err error) {
	step, err := d.step(d.i.Cur.Step)
	if err != nil {
		return nil, nil, err
	}
	data, err := d.state()
	if err != nil || !step.asks() {
		return nil, nil, err
	}
	bad = guard(func() error { return step.output(data, r.Key, r.Data) })
	if bad == nil {
		stored, bad = encode(data)
	}
	d.data = nil
	return stored, bad, nil
}

// tally writes an event down, by which a child may have ended, and goes on when the
// children that are needed have completed, or cannot any more.
func (d *decision) tally(e *event) error {
	cur := d.i.Cur
	if e.I != 0 && cur.Of == 0 && e.OK && cur.Fan.after(e).enough(cur.Need) {
		e.Step, e.Undoable = cur.Step, true
		return d.complete(e)
	}
	if e.I != 0 {
		if err := d.write(evChild, e); err != nil {
			return err
		}
	}
	f := d.i.Cur.Fan
	switch {
	case cur.Of != 0 && !f.More && f.NBad >= f.Total:
		return d.recalled()
	case cur.Of != 0:
		return nil
	case f.enough(cur.Need):
		return d.complete(&event{N: cur.N, Step: cur.Step, Undoable: f.NOK > 0})
	case f.hopeless(cur.Need):
		return d.stop(stop{Why: CauseRefused, Error: f.verdict(cur.Need, e.Error)})
	}
	return nil
}

// complete goes on behind a fan-out whose children are enough.
func (d *decision) complete(e *event) error {
	cur := d.i.Cur
	if err := d.calm(cur.Tick); err != nil {
		return err
	}
	f := cur.Fan.after(e)
	if f.NOK < f.Count {
		if err := tell(d.tx, d.name, d.id, toFan, spread{N: cur.N, Dismiss: true}); err != nil {
			return err
		}
	}
	return d.done(e)
}

// after is what a fan-out counts when the child of e is counted. Its sets are not.
func (f *fan) after(e *event) fan {
	c := *f
	if e.I != 0 && e.OK {
		c.NOK++
	}
	return c
}

// enough reports whether so many children as are needed have completed.
func (f fan) enough(need int) bool {
	if need > 0 {
		return f.NOK >= need
	}
	return !f.More && f.NOK == f.Count
}

// hopeless reports whether they never will.
func (f *fan) hopeless(need int) bool {
	if need > 0 {
		return !f.More && f.Count-f.NBad < need
	}
	return f.NBad > 0
}

func (f *fan) verdict(need int, last string) string {
	if f.Count == 1 && !f.More && need <= 1 {
		return last
	}
	text := fmt.Sprintf("%d of %d children did not complete", f.NBad, f.Count)
	if need > 0 {
		text += fmt.Sprintf(", %d must", need)
	}
	if last != "" {
		text += "; the last one: " + last
	}
	return text
}

// stuck says that a fan-out cannot go on.
func (d *decision) stuck(raw outbox.Raw, cause error) error {
	s, err := read[spread](raw)
	if err != nil || d.i.fan(s.N) == nil {
		return err
	}
	cur := d.i.Cur
	if outbox.Aborted(cause) && cur.Of == 0 && !errors.Is(cause, eventlog.ErrTooLarge) {
		return d.stop(stop{Why: CauseRefused, Error: brief(cause)})
	}
	return d.write(evParked, &event{N: cur.N, Step: cur.Step, Parked: brief(cause)})
}
