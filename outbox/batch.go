package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A batch rolls steps of one target forward in one commit of the target's
// shard: each in a savepoint, in order, with its outcome beside its effect.
type batch struct {
	log      *eventlog.Log
	handlers map[string]*Handler
	shard    int // the target's
	items    []pending
	mixed    bool  // of several chains
	refused  error // why the only item is not even tried: its commit was refused

	outcomes []outcome // of the last run
}

// An outcome is what became of an item. The zero outcome is "not reached": it is
// still to be rolled forward.
type outcome struct {
	decided bool
	wrote   bool      // by this batch
	due     time.Time // not decided: not before
	attempt int       // that failed; 0: none did
	dead    bool
	err     error
}

// errFull ends a batch: the next step has no room beside those before it.
var errFull = errors.New("the commit is full")

// roll brings the items as far as it can and returns what became of each. An
// error says that the store, not a step, is to blame.
func (b *batch) roll(ctx context.Context) ([]outcome, error) {
	if err := b.load(ctx); err != nil {
		return nil, err
	}
	_, err := b.log.Update(ctx, b.run)
	switch {
	case err == nil:
		return b.outcomes, nil
	case !errors.Is(err, eventlog.ErrTooLarge) || b.refused != nil:
		return nil, err
	case len(b.items) > 1:
		return b.half().roll(ctx) // the others are not reached
	}
	b.refused = Abort(err)
	_, err = b.log.Update(ctx, b.run)
	return b.outcomes, err
}

// load reads the payloads that are not in memory.
func (b *batch) load(ctx context.Context) error {
	var versions []uint64
	var missing []*pending
	for i := range b.items {
		if p := &b.items[i]; p.step == nil {
			versions, missing = append(versions, p.version), append(missing, p)
		}
	}
	for r, err := range readSteps(ctx, b.log, b.items[0].shard, versions) {
		if err != nil {
			return err
		}
		again, err := newItem(&r)
		if err != nil {
			return err
		}
		missing[0].step, missing = again.step, missing[1:]
	}
	for _, p := range b.items {
		b.mixed = b.mixed || p.step.Chain != b.items[0].step.Chain
	}
	return nil
}

// half is the batch of the first half of the items.
func (b *batch) half() *batch {
	return &batch{log: b.log, handlers: b.handlers, shard: b.shard, items: b.items[:len(b.items)/2]}
}

func (b *batch) run(tx *eventlog.Tx) error {
	b.outcomes = make([]outcome, len(b.items))
	lives, err := b.lives(tx)
	if err != nil {
		return err
	}
	wrote := false
	for i, it := range b.items {
		o, err := b.step(tx, it, lives[i], wrote)
		if errors.Is(err, errFull) {
			break
		}
		if err != nil {
			return err
		}
		b.outcomes[i] = o
		wrote = wrote || o.wrote
	}
	b.label(tx)
	return nil
}

// lives reads what happened to the steps so far: before the first of them runs,
// because a transaction that has written much reads slowly.
func (b *batch) lives(tx *eventlog.Tx) ([]life, error) {
	list := make([]life, len(b.items))
	for i, it := range b.items {
		var err error
		if list[i], err = readLife(tx, b.shard, it.id, it.time); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// label gives the commit the metadata that all its steps share.
func (b *batch) label(tx *eventlog.Tx) {
	if len(b.items) == 1 {
		return // as the handler left it
	}
	meta := eventlog.Meta{}
	if !b.mixed {
		meta.Correlation = b.items[0].step.Chain
	}
	*tx.Meta() = meta
}

// step rolls one item forward.
func (b *batch) step(tx *eventlog.Tx, it pending, l life, crowded bool) (outcome, error) {
	switch {
	case l.over:
		return outcome{decided: true}, nil
	case !tx.Time().After(it.time): // the clock that stamped the step is ahead of ours
		return outcome{due: it.time.Add(1)}, nil
	case l.due.After(tx.Time()):
		return outcome{due: l.due}, nil
	case it.step.Due != nil && it.step.Due.After(tx.Time()):
		return outcome{due: *it.step.Due}, nil
	}
	*tx.Meta() = it.meta()
	err := b.try(tx, it)
	switch {
	case err == nil:
		return outcome{decided: true, wrote: true}, nil
	case tx.Context().Err() != nil:
		return outcome{}, tx.Context().Err()
	case errors.Is(err, eventlog.ErrClosed), errors.Is(err, eventlog.ErrDiskFull):
		return outcome{}, err
	case errors.Is(err, eventlog.ErrTooLarge) && crowded:
		return outcome{}, errFull
	case errors.Is(err, eventlog.ErrTooLarge):
		err = Abort(err)
	}
	return b.fail(tx, it, l, err, crowded)
}

// try runs the handler. Its effect and the mark that the step is done stand or
// fall together.
func (b *batch) try(tx *eventlog.Tx, it pending) error {
	if b.refused != nil {
		return b.refused
	}
	return tx.Savepoint(func() error {
		if err := guard(func() error { return b.handlers[it.typ].Do(tx, it.raw()) }); err != nil {
			return err
		}
		return b.write(tx, it, outcomesStream(b.shard), typeDone, done{})
	})
}

// fail writes down that an attempt failed, and what follows from it.
func (b *batch) fail(tx *eventlog.Tx, it pending, l life, cause error, crowded bool) (outcome, error) {
	h := b.handlers[it.typ]
	attempt := l.attempts + 1
	*tx.Meta() = it.meta()
	if Aborted(cause) || h.Policy.exhausted(attempt) {
		err := tx.Savepoint(func() error { return b.bury(tx, it, l, attempt, cause) })
		switch {
		case err == nil:
			return outcome{decided: true, wrote: true, attempt: attempt, dead: h.Failed == nil, err: cause}, nil
		case tx.Context().Err() != nil:
			return outcome{}, err
		case errors.Is(err, eventlog.ErrTooLarge) && crowded:
			return outcome{}, errFull
		}
		cause = fmt.Errorf("%v; then Failed: %w", cause, err)
		*tx.Meta() = it.meta()
	}
	f := failed{Attempt: attempt, Error: text(cause), Due: tx.Time().Add(h.Policy.delay(attempt))}
	err := b.write(tx, it, outcomesStream(b.shard), typeFailed, f)
	if errors.Is(err, eventlog.ErrTooLarge) && crowded {
		err = errFull
	}
	return outcome{wrote: true, due: f.Due, attempt: attempt, err: cause}, err
}

// bury ends a step that has failed for good.
func (b *batch) bury(tx *eventlog.Tx, it pending, l life, attempt int, cause error) error {
	h := b.handlers[it.typ]
	if h.Failed != nil {
		if err := guard(func() error { return h.Failed(tx, it.raw(), cause) }); err != nil {
			return err
		}
		return b.write(tx, it, outcomesStream(b.shard), typeDone, done{Error: text(cause)})
	}
	d := dead{Shard: it.shard, Version: it.version, Attempts: attempt, Error: text(cause), First: l.first}
	if d.First.IsZero() {
		d.First = tx.Time()
	}
	return b.write(tx, it, deadStream(b.shard), typeDead, d)
}

// write appends an event of the item's life.
func (b *batch) write(tx *eventlog.Tx, it pending, stream, typ string, payload any) error {
	e, err := event(typ, payload, stepTag(it.id))
	if err != nil {
		return err
	}
	if b.mixed {
		e.Tags = append(e.Tags, chainTag(it.step.Chain))
	}
	return tx.Append(stream, e)
}

// guard makes a panic of a user's function an error.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}
