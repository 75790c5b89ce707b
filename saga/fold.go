package saga

import (
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
)

// apply folds an event of transaction tx: what happened, and what follows.
func (i *instance) apply(typ string, e *event, tx eventlog.ID) error {
	if err := i.happen(typ, e, tx); err != nil {
		return err
	}
	i.follow(e, tx)
	return nil
}

// happen folds what happened.
func (i *instance) happen(typ string, e *event, tx eventlog.ID) error {
	switch typ {
	case evStarted:
		i.start(e, tx)
	case evDone:
		i.done(e)
	case evRefused:
		i.Cur = nil
	case evStopping:
		if i.Cur != nil {
			i.Cur.Stop = &stop{e.Why, e.Error, e.To, e.By, e.Reason}
		}
	case evStopped:
		i.stopped(e)
	case evUndone:
		i.undone(e)
	case evReverted:
		i.State, i.Undone, i.Parent = Compensating, 0, e.Parent
	case evSignal:
		if !e.Late {
			i.Held = append(i.Held, held{e.Name, string(e.Take)})
		}
	case evSpread, evRecalled:
		if f := i.fan(e.N); f != nil && e.Count >= 0 && f.Count+e.Count <= MaxChildren {
			f.Count, f.More = f.Count+e.Count, e.More
			if e.Cursor != "" {
				f.Cursor = e.Cursor
			}
		}
	case evChild:
		i.count(e)
	case evMigrated:
		i.migrate(e)
	case evRetried:
		i.Parked = ""
		if e.N == 0 {
			i.Cur = nil
		}
	case evParked, evForked, evNoted:
	default:
		return fmt.Errorf("%w: %s", eventlog.ErrUnknownType, typ)
	}
	if e.Parent != nil {
		i.Parent = e.Parent
	}
	if e.Data != nil {
		i.Data = string(e.Data)
	}
	return nil
}

// follow folds what follows.
func (i *instance) follow(e *event, tx eventlog.ID) {
	i.turn(e)
	if e.Back != "" {
		i.Cause, i.Err, i.To = e.Back, e.Error, ""
		if e.Back == CauseRefused || e.Back == CauseTimeout {
			i.Refused = e.Step
		}
	}
	if n := e.Next; n != nil {
		i.Seq = n.N
		i.Cur = i.run(n, tx)
	}
	if e.End != "" {
		i.Cur, i.Held = nil, nil
	}
	if e.Is != "" {
		i.Told = e.Is
	}
}

// turn folds what follows for the state.
func (i *instance) turn(e *event) {
	if e.Back != "" {
		i.State = Compensating
	}
	if e.Next != nil || e.End != "" || e.Parked != "" {
		i.Parked = e.Parked
	}
	if e.End != "" {
		i.State = e.End
	}
}

// declare notes in an event that happened what becomes of the state by it. What it was is
// what the stream says, so that each change begins where the one before ended.
func (i *instance) declare(e *event) {
	now := *i
	now.turn(e)
	e.Was, e.Is = "", ""
	if is := now.state(); is != i.Told {
		e.Was, e.Is = i.Told, is
	}
}

func (i *instance) start(e *event, tx eventlog.ID) {
	chain := i.Chain
	if !e.Chain.IsZero() {
		chain = e.Chain
	}
	*i = instance{Version: e.V, State: Running, Chain: chain, To: e.To, Fork: e.Fork, Held: i.Held, Deadline: numbered(tx, e.Deadline), Told: i.Told}
}

// run is the execution that n says was sent. One that makes children go back,
// because what started them is stopped or undone, takes over which.
func (i *instance) run(n *next, tx eventlog.ID) *run {
	r := &run{next: *n, ID: numbered(tx, n.Sent), Tick: numbered(tx, n.Timer)}
	if n.Kind != kindChild {
		return r
	}
	r.Fan = &fan{Step: n.Step, Saga: n.Saga, Many: n.Fan, Count: max(0, min(n.Count, MaxChildren)), More: n.More}
	if n.Of == 0 {
		return r
	}
	old := new(fan)
	if i.Cur != nil && i.Cur.N == n.Of {
		r.Stop, old = i.Cur.Stop, i.Cur.Fan
	} else if k := i.find(n.Of); k >= 0 && i.Done[k].Fan != nil {
		old = i.Done[k].Fan
	}
	r.Fan.Step, r.Fan.Total, r.Fan.Bad = old.Step, old.Count, slices.Clone(old.Bad)
	r.Fan.NBad = r.Fan.Bad.size()
	return r
}

// final is what remains to be known of a fan-out that is done.
func (f *fan) final() *fan {
	if f == nil {
		return nil
	}
	out := &fan{Step: f.Step, Saga: f.Saga, Many: f.Many, Count: f.Count, NOK: f.NOK}
	if out.All = f.NOK == f.Count; !out.All {
		out.OK, out.Bad = f.OK, f.Bad
	}
	return out
}

func (i *instance) fan(n int) *fan {
	if i.Cur == nil || i.Cur.N != n {
		return nil
	}
	return i.Cur.Fan
}

// find returns the place of an execution that is done, or -1.
func (i *instance) find(n int) int {
	return slices.IndexFunc(i.Done, func(m mark) bool { return m.N == n })
}

// done puts an execution behind the others. Of those of a step that leave nothing to
// undo the last one is enough.
func (i *instance) done(e *event) {
	if e.Name != "" {
		if k := i.hold(e.Name); k >= 0 {
			i.Held = slices.Delete(i.Held, k, k+1)
		}
	}
	i.count(e)
	m := mark{N: e.N, Step: e.Step, Undoable: e.Undoable}
	if i.Cur != nil {
		m.Kind, m.On, m.Fan = i.Cur.Kind, i.Cur.On, i.Cur.Fan.final()
	}
	i.add(m)
	i.After, i.To, i.Cur = e.Step, "", nil
}

func (i *instance) add(m mark) {
	if !m.Undoable {
		i.Done = slices.DeleteFunc(i.Done, func(o mark) bool { return o.Step == m.Step && !o.Undoable })
	}
	i.Done = append(i.Done, m)
}

// count notes that a child has ended.
func (i *instance) count(e *event) {
	f := i.fan(e.N)
	if f == nil || e.I < 1 || e.I > max(f.Count, f.Total) {
		return
	}
	if e.OK && f.OK.add(e.I-1) {
		f.NOK++
	} else if !e.OK && f.Bad.add(e.I-1) {
		f.NBad++
	}
}

func (i *instance) stopped(e *event) {
	if e.Unsure && i.Cur != nil {
		i.add(mark{N: e.N, Step: e.Step, Kind: i.Cur.Kind, On: i.Cur.On, Undoable: true})
	}
	if e.Of != 0 { // an undo was skipped
		i.undone(e)
		return
	}
	if e.Step != "" {
		i.After = e.Step
	}
	i.To, i.Cur = e.To, nil
}

func (i *instance) undone(e *event) {
	if k := i.find(e.Of); k >= 0 {
		i.Done = slices.Delete(i.Done, k, k+1)
	}
	i.Undone, i.Cur = e.Of, nil
}

func (i *instance) migrate(e *event) {
	name := func(s string) string {
		if now, ok := e.Steps[s]; ok {
			return now
		}
		return s
	}
	i.Version, i.After, i.To = e.V, name(i.After), name(i.To)
	for k := range i.Done {
		i.Done[k].Step = name(i.Done[k].Step)
	}
	if i.Cur != nil {
		i.Cur.Step = name(i.Cur.Step)
	}
}
