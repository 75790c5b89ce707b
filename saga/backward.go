package saga

import (
	"errors"
	"fmt"
)

// goBack puts an event that was noted, with the next execution to undo.
func (d *decision) goBack(typ string, e *event) error {
	m := d.i.last()
	if m == nil {
		cause := e.Back
		if cause == "" {
			cause = d.i.Cause
		}
		return d.end(typ, e, cause.end())
	}
	err := d.tx.Savepoint(func() error {
		if err := d.enterUndo(e, m); err != nil {
			return err
		}
		return d.put(typ, e)
	})
	if err == nil {
		return d.ready()
	}
	d.ran = nil
	if errors.Is(err, errPark) || errors.Is(err, errSend) {
		return d.park(typ, e, err)
	}
	return err
}

// last is the last execution with something to undo that was not looked at yet.
func (i *instance) last() *mark {
	for k := len(i.Done) - 1; k >= 0; k-- {
		if m := &i.Done[k]; m.Undoable && (i.Undone == 0 || m.N < i.Undone) {
			return m
		}
	}
	return nil
}

// enterUndo sends the Undo of an execution, and notes it in e.
func (d *decision) enterUndo(e *event, m *mark) error {
	if m.Kind == kindChild {
		return d.enterRecall(e, m.N, m.Fan)
	}
	n := &next{N: d.i.Seq + 1, Of: m.N, Step: m.Step, Kind: m.Kind, On: m.On}
	e.Next = n
	step, err := d.step(m.Step)
	if err != nil {
		return fmt.Errorf("%w: %w", errPark, err)
	}
	if step.kind() != m.Kind || !step.undoable() {
		return fmt.Errorf("%w: step %q has nothing to undo what it did as a %s", errPark, m.Step, m.Kind)
	}
	return d.command(n, step, undoType(d.name, n.Step))
}
