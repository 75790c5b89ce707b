package outbox

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// A reactorBatch deals with some events of a shard in one commit: each in a
// savepoint, in order. It ends before the first one that fails.
type reactorBatch struct {
	*reactorShard
	records []eventlog.Record
	to      shardPlace // without records: where to move

	// of the last run
	done    int
	skipped []reactorSkip
	failed  *reactorError
}

type reactorSkip struct {
	record *eventlog.Record
	err    error
}

// A reactorError says which event failed.
type reactorError struct {
	record eventlog.Record
	err    error
}

func (e *reactorError) Error() string {
	return fmt.Sprintf("event %s (%s at %s version %d): %v", e.record.ID, e.record.Type, e.record.Stream, e.record.Version, e.err)
}

func (e *reactorError) Unwrap() error { return e.err }

// run is the function of the Update.
func (b *reactorBatch) run(tx *eventlog.Tx) error {
	b.done, b.skipped, b.failed = 0, nil, nil
	state, err := b.state(tx)
	if err != nil {
		return err
	}
	if state.place(b.after.Revision(b.shard)) != b.saved {
		return errReactorMoved
	}
	for i := range b.records {
		if err := b.event(tx, &b.records[i]); err != nil {
			return err
		}
		if b.done == i { // not reached
			break
		}
	}
	if b.done == 0 && b.failed != nil {
		return b.failed
	}
	if b.done > 0 {
		b.to = placeBehind(&b.records[b.done-1])
	}
	return b.move(tx)
}

// event deals with one event. An error says that the store is to blame.
func (b *reactorBatch) event(tx *eventlog.Tx, r *eventlog.Record) error {
	err := tx.Scope(reactionMeta(r), func() error { return guard(func() error { return b.fn(tx, *r) }) })
	if err != nil && tx.Context().Err() != nil {
		return tx.Context().Err() // whatever React makes of it
	}
	if storeFailed(err) {
		return err
	}
	if Aborted(err) {
		cause := err
		if err = b.skip(tx, r, cause); err == nil {
			b.skipped = append(b.skipped, reactorSkip{r, cause})
		}
	}
	switch {
	case err == nil:
		b.done++
		return nil
	case errors.Is(err, eventlog.ErrTooLarge) && b.done > 0:
		return nil // it has no room beside those before it
	}
	b.failed = &reactorError{*r, err}
	return nil
}

// reactionMeta makes what is written for r part of r's chain.
func reactionMeta(r *eventlog.Record) eventlog.Meta {
	m := eventlog.Meta{Correlation: r.Meta.Correlation, Causation: r.ID, Actor: r.Meta.Actor, Traceparent: r.Meta.Traceparent}
	if m.Correlation.IsZero() {
		m.Correlation = r.Commit()
	}
	return m
}

// skip records that an event has no effect.
func (b *reactorBatch) skip(tx *eventlog.Tx, r *eventlog.Record, cause error) error {
	s := reactorSkipped{Event: r.ID, Revision: r.Revision, Stream: r.Stream, Version: r.Version, Type: r.Type, Error: text(cause)}
	return tx.Scope(reactionMeta(r), func() error { return b.write(tx, b.reactorShard.skipped, reactorTypeSkipped, s) })
}

// move notes how far the events have been dealt with.
func (b *reactorBatch) move(tx *eventlog.Tx) error {
	m := reactorMoved{Revision: b.to.Revision, Done: b.to.Done, Events: b.done, Skipped: len(b.skipped)}
	return b.write(tx, b.moved, reactorTypeMoved, m)
}

func (b *reactorBatch) write(tx *eventlog.Tx, stream, typ string, payload any) error {
	data, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	return tx.Append(systemStream(stream, b.shard), sys.Event{Type: typ, Data: data})
}

// blame says which event an error of the whole Update belongs to: that of a
// commit of its own.
func (b *reactorBatch) blame(err error) error {
	if errors.As(err, new(*reactorError)) || len(b.records) != 1 || !errors.Is(err, eventlog.ErrTooLarge) {
		return err
	}
	return &reactorError{b.records[0], err}
}
