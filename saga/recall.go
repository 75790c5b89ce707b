package saga

import (
	"github.com/rollforward/rollforward/outbox"
)

// Children go back when their parent does, or needs them no more. Each child decides
// itself what that means: one that runs is cancelled, one that has completed undoes
// what it did, one that was not begun never is. Then it tells its parent, if that
// waits for it.

// stopChildren begins to call back the children under way.
func (d *decision) stopChildren(e *event, s stop) error {
	cur := d.i.Cur
	if err := d.calm(cur.Tick); err != nil {
		return err
	}
	if cur.Of != 0 || cur.Fan.NBad == cur.Fan.Count { // told already, or nothing to be told
		cur.Stop = &s
		return d.settle(false)
	}
	if err := d.note(evStopping, e); err != nil {
		return err
	}
	if err := d.enterRecall(e, cur.N, cur.Fan); err != nil {
		return err
	}
	return d.put(evStopping, e)
}

// enterRecall calls the children of an execution back, all but those that are known
// to have left nothing to undo.
func (d *decision) enterRecall(e *event, of int, f *fan) error {
	n := &next{N: d.i.Seq + 1, Of: of, Step: f.Step, Kind: kindChild, Saga: f.Saga, Fan: f.Many, More: f.Many}
	e.Next = n
	if f.Many {
		return tell(d.tx, d.name, d.id, toFan, spread{N: n.N})
	}
	n.Count = 1
	_, err := d.callBack(f, of, 0, parent{N: n.N}, f.Bad)
	return err
}

// callBack tells the children of an execution, from the given one on, to go back and
// whom to reply to. It returns how far it came.
func (d *decision) callBack(f *fan, of, from int, p parent, but bitset) (int, error) {
	p.Saga, p.ID = d.name, d.id
	k := from
	for told := 0; k < f.Count && told < chunkChildren; k++ {
		if but.has(k) {
			continue
		}
		told++
		p.I = k + 1
		if err := tell(d.tx, f.Saga, childID(d.id, f.Step, of, f.Many, p.I), toRecall, recall{p}); err != nil {
			return k, err
		}
	}
	return k, nil
}

// recallMore tells the next children.
func (d *decision) recallMore() error {
	cur := d.i.Cur
	all := *cur.Fan
	all.Count = all.Total
	k, err := d.callBack(&all, cur.Of, cur.Fan.Count, parent{N: cur.N}, cur.Fan.Bad)
	if err != nil {
		return err
	}
	e := &event{N: cur.N, Count: k - cur.Fan.Count, More: k < all.Count}
	if err := d.write(evRecalled, e); err != nil {
		return err
	}
	if e.More {
		return tell(d.tx, d.name, d.id, toFan, spread{N: cur.N})
	}
	return d.tally(&event{N: cur.N, Step: cur.Step})
}

// recalled goes on when no child is left that could have done anything.
func (d *decision) recalled() error {
	cur := d.i.Cur
	if d.i.State == Running {
		return d.settle(false)
	}
	e := &event{N: cur.N, Of: cur.Of, Step: cur.Step}
	if err := d.note(evUndone, e); err != nil {
		return err
	}
	return d.goBack(evUndone, e)
}

// dismiss calls back the children of a fan-out that went on without them. Nobody waits
// for them.
func (d *decision) dismiss(s spread) error {
	k := d.i.find(s.N)
	if k < 0 || d.i.Done[k].Fan == nil || d.i.Done[k].Fan.All {
		return nil // they were called back with the others
	}
	f := d.i.Done[k].Fan
	to, err := d.callBack(f, s.N, max(0, s.From), parent{N: s.N, Quiet: true}, f.OK)
	if err != nil || to >= f.Count {
		return err
	}
	return tell(d.tx, d.name, d.id, toFan, spread{N: s.N, Dismiss: true, From: to})
}

// recall takes in that the parent goes back.
func (d *decision) recall(raw outbox.Raw) error {
	r, err := read[recall](raw)
	if err == nil {
		err = r.Parent.check()
	}
	if err != nil {
		return err
	}
	p := d.i.Parent
	switch {
	case d.i.State == "":
		e := &event{Why: CauseParent, Parent: &r.Parent}
		if err := d.note(evStopped, e); err != nil {
			return err
		}
		return d.end(evStopped, e, Cancelled)
	case !p.sameChild(&r.Parent) || !r.Parent.newer(p):
		return nil // it is no child of this parent, or was told already
	case d.i.State == Completed:
		e := &event{Parent: &r.Parent, Back: CauseParent, Error: "its parent goes back"}
		if err := d.note(evReverted, e); err != nil {
			return err
		}
		return d.goBack(evReverted, e)
	case d.i.State.Ended():
		return d.report(&r.Parent)
	}
	if err := d.write(evNoted, &event{What: toRecall, Parent: &r.Parent}); err != nil {
		return err
	}
	if d.i.State == Compensating {
		return nil
	}
	return d.stop(stop{Why: CauseParent, Error: "its parent goes back"})
}
