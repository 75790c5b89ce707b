package outbox

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// A link is a step that a handler has enqueued for its own target. It runs in
// the same commit when the steps of its target that come before it have run and
// there is room; else it is enqueued like any other.
type link struct {
	step enqueued
	data []byte // of its event
}

const (
	linkRoom  = 400_000 // bytes that a commit must have left for a link to run in it
	linkExtra = 200     // what an event takes beside its data, about
)

// links reports whether a step is for the target of the handler that runs.
func (b *batch) links(s Raw) bool {
	return b.at != nil && b.deep == 0 && s.Stream == b.group.queue.target
}

// link takes a step on. That it can be stored is certain then.
func (b *batch) link(tx *eventlog.Tx, s Raw) error {
	meta := tx.Meta()
	e := enqueued{Type: s.Type, Target: s.Stream, Data: s.Data, Cause: b.at.id,
		Chain: meta.Correlation, Actor: meta.Actor, Traceparent: meta.Traceparent}
	data, err := encodeStep(&e)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrStep, s.Type, err)
	}
	need := len(data) + len(s.Stream) + linkExtra
	if len(data) > maxStep || tx.Room(b.shard) < b.spent+need {
		return fmt.Errorf("step %s for %s: %w: %d bytes, and the commit holds others", s.Type, s.Stream, eventlog.ErrTooLarge, len(data))
	}
	n, spent := len(b.chain), b.spent
	tx.OnRollback(func() { b.chain, b.spent = b.chain[:n], spent })
	b.spent += need
	b.chain = append(b.chain, link{e, data})
	return nil
}

// goOn runs the links of the group, in the order in which they were enqueued,
// with those that they enqueue themselves, as long as nothing is ahead of them
// and there is room, and enqueues the rest.
func (b *batch) goOn(tx *eventlog.Tx, may bool) error {
	if len(b.chain) == 0 {
		return nil
	}
	if may = may && b.group.chained; may {
		var err error
		if may, err = b.alone(tx); err != nil {
			return err
		}
	}
	for i := 0; i < len(b.chain); i++ {
		l := b.chain[i]
		if may {
			done, err := b.runLink(tx, l)
			if err != nil {
				return err
			}
			if may = done; done {
				continue
			}
		}
		err := tx.Scope(l.meta(), func() error { return tx.Append(stepsStream(b.shard), sys.Event{Type: typeEnqueued, Data: l.data}) })
		if err != nil {
			return err
		}
	}
	return nil
}

// meta is that of the event that stores the link.
func (l *link) meta() eventlog.Meta {
	return eventlog.Meta{Correlation: l.step.Chain, Causation: l.step.Cause, Actor: l.step.Actor, Traceparent: l.step.Traceparent}
}

// alone reports whether no step in the target's own shard is known to nobody
// here, and makes that a condition of tx.
func (b *batch) alone(tx *eventlog.Tx) (bool, error) {
	q := eventlog.Query{Stream: stepsStream(b.shard), From: b.group.known + 1}
	for r, err := range tx.Read(q) {
		if err != nil {
			return false, err
		}
		if r.Commit() != tx.ID() { // what this batch has enqueued for others is no matter
			return false, nil
		}
	}
	return true, nil
}

// runLink runs a link. done says that its effect is in the transaction, with a
// record of it; else nothing is.
func (b *batch) runLink(tx *eventlog.Tx, l link) (done bool, err error) {
	h := b.handlers.of(l.step.Type)
	if h == nil || h.Do == nil || b.taken >= b.Batch || tx.Room(b.shard) < b.spent+linkRoom {
		return false, nil
	}
	w := &work{item: &item{id: tx.NextID(), typ: l.step.Type, target: l.step.Target, handler: h}, step: &l.step}
	err = tx.Scope(w.meta(), func() error {
		e, err := event(typeRolled, &l.step, stepTag(w.id))
		if err != nil {
			return err
		}
		if err := tx.Append(outcomesStream(b.shard), e); err != nil {
			return err
		}
		b.at = w
		defer func() { b.at = nil }()
		return w.do(tx)
	})
	switch {
	case err == nil:
		b.taken++
		b.linked = append(b.linked, h.Type)
		return true, nil
	case tx.Context().Err() != nil:
		return false, tx.Context().Err()
	case storeFailed(err):
		return false, err
	}
	return false, nil // it is tried again, and counted, as a step of its own
}
