package saga

import "fmt"

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
