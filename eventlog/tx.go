package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/internal/sys"
)

// A Tx is one run of an Update's or a View's function. What it reads becomes
// a condition, what it writes is written when the function returns nil; all of
// it happens at one moment, or nothing. It lives as long as its function runs
// and belongs to the goroutine that runs it.
type Tx struct {
	log       *Log
	ctx       context.Context
	id        ID
	now       int64 // what Time returned; 0: nobody asked
	meta      Meta
	nested    *nesting // savepoints and scopes; nil: there was none
	view      bool     // may not write; sees durable commits only
	over      bool
	index     uint32 // number of the next event; savepoints do not turn it back
	reads     []read
	cells     []cellUse
	cellAt    map[string]int // of each key, in cells
	tables    []string       // whose set of keys changes
	guests    []*lane        // of the tables that were used
	events    []event
	written   *written // finds them; nil: there are few
	onces     []once
	relaxed   []relaxed                // that it folds
	beside    []any                    // for the driver
	states    []loadedState            // that were loaded
	stateAt   map[stateKey]loadedState // finds them; nil: there are few
	rollbacks int
	sizes     []shardSize // of what is written, by shard

	turn   *turn
	placed []func() // see OnPlaced

	room struct { // for the usual few, in one allocation
		reads  [1]read
		events [1]event
		sizes  [1]shardSize
		member member
	}
}

// pooled are transactions that nobody but Append has seen.
var pooled = sync.Pool{New: func() any { return new(Tx) }}

func (l *Log) begin(ctx context.Context) *Tx {
	tx := pooled.Get().(*Tx)
	tx.log, tx.ctx, tx.id = l, ctx, newID()
	tx.reads, tx.events, tx.sizes = tx.room.reads[:0], tx.room.events[:0], tx.room.sizes[:0]
	return tx
}

// reuse lets another transaction have the memory of one that was written and answered,
// if nobody has seen it.
func (tx *Tx) reuse(m *member) {
	if len(m.parts) != 1 || m.parts[0] != &m.room.part || m.room.part.seen {
		return
	}
	*tx = Tx{}
	pooled.Put(tx)
}

type shardSize struct{ shard, bytes int32 }

var errOver = errors.New("eventlog: the transaction is over: a Tx must not outlive its function")

// Context returns the context of the Update or View.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Log returns the log.
func (tx *Tx) Log() *Log { return tx.log }

// ID returns the id that the transaction's commit will have. It is another one
// when the function runs again.
func (tx *Tx) ID() ID { return tx.id }

// NextID returns the id that the next event which is appended will have. Like ID
// it is another one when the function runs again.
func (tx *Tx) NextID() ID { return tx.id.event(int(tx.index)) }

// Time returns the log's time when the function first asked for it: later than
// everything that it had seen, not later than the commit's own time.
func (tx *Tx) Time() time.Time { return time.Unix(0, tx.time()).UTC() }

func (tx *Tx) time() int64 {
	if tx.now == 0 {
		tx.now = tx.log.clock.read()
	}
	return tx.now
}

// Shard returns the shard that the transaction is at home in: that of its first
// append, or else of its first read. ok is false when it did neither.
func (tx *Tx) Shard() (shard int, ok bool) {
	switch {
	case len(tx.events) > 0:
		return shardOf(tx.events[0].stream, len(tx.log.lanes)), true
	case len(tx.reads) > 0:
		return tx.reads[0].lane.shard, true
	}
	return 0, false
}

// Meta returns the metadata of the events that are appended here, for the
// function to fill in: that of the transaction, or inside a [Tx.Scope] that of
// the scope. It belongs to all events of the transaction or scope as it stands
// at the end.
func (tx *Tx) Meta() *Meta {
	if s := tx.scope(); s != nil {
		return &s.meta
	}
	return &tx.meta
}

// Append adds events to the end of a stream, which lies in any shard and need
// not exist. Events are encoded before Append returns. An error leaves the
// transaction as it was: an invalid name or a limit; the function may go on.
func (tx *Tx) Append(stream string, events ...Event) error {
	if err := tx.append(stream, events); err != nil {
		return fmt.Errorf("eventlog: append %s: %w", stream, err)
	}
	return nil
}

func (tx *Tx) append(stream string, events []Event) error {
	switch {
	case tx.over:
		return errOver
	case tx.view:
		return ErrReadOnly
	case len(events) == 0:
		return nil
	}
	if len(events) == 1 {
		return tx.appendOne(stream, events[0])
	}
	n := len(tx.events)
	for _, e := range events {
		if err := tx.appendOne(stream, e); err != nil {
			tx.dropEvents(n)
			return err
		}
	}
	return nil
}

// appendOne leaves nothing behind when it fails.
func (tx *Tx) appendOne(stream string, e Event) error {
	if tx.index >= MaxEvents {
		return fmt.Errorf("%w: more than %d events in a transaction", ErrTooLarge, MaxEvents)
	}
	var ev event
	s, system := e.(sys.Event)
	if system {
		ev = event{typ: s.Type, data: s.Data, tags: s.Tags}
	} else {
		var err error
		if ev, err = tx.log.codecs.encode(e); err != nil {
			return err
		}
	}
	ev.stream = stream
	if err := ev.check(system); err != nil {
		return err
	}
	if err := tx.grow(shardOf(stream, len(tx.log.lanes)), ev.size()); err != nil {
		return err
	}
	ev.index, ev.meta = uint16(tx.index), tx.metaPlace()
	tx.index++
	if n := len(tx.events); n == cap(tx.events) && n >= manyEvents/16 && n < manyEvents {
		tx.events = slices.Grow(tx.events, 3*n)
	}
	tx.events = append(tx.events, ev)
	tx.noteEvent()
	return nil
}

// manyEvents: a transaction that has some may well get so many, such as one that
// rolls a batch of steps forward.
const manyEvents = 256

// check refuses an event beyond the limits.
func (e *event) check(system bool) error {
	check := checkUserName
	if system {
		check = checkName
	}
	if err := check("stream", e.stream); err != nil {
		return err
	}
	if err := check("event type", e.typ); err != nil {
		return err
	}
	if err := checkText("codec", e.codec); err != nil {
		return err
	}
	if len(e.data) > MaxEvent {
		return fmt.Errorf("%w: event %s of %d bytes, at most %d", ErrTooLarge, e.typ, len(e.data), MaxEvent)
	}
	if len(e.tags) > MaxTags {
		return fmt.Errorf("%w: event %s with %d tags, at most %d", ErrTooLarge, e.typ, len(e.tags), MaxTags)
	}
	for _, t := range e.tags {
		if err := check("tag", t); err != nil {
			return err
		}
	}
	return nil
}

// grow notes that so many bytes more go into a shard, within the limits.
func (tx *Tx) grow(shard, bytes int) error {
	total, at := bytes, -1
	for i, s := range tx.sizes {
		total += int(s.bytes)
		if int(s.shard) == shard {
			at = i
		}
	}
	if at < 0 {
		at = len(tx.sizes)
		tx.sizes = append(tx.sizes, shardSize{shard: int32(shard)})
	}
	if n := int(tx.sizes[at].bytes) + bytes; n > MaxCommit {
		return fmt.Errorf("%w: commit of %d bytes or more in shard %d, at most %d", ErrTooLarge, n, shard, MaxCommit)
	}
	if total > MaxTx {
		return fmt.Errorf("%w: transaction of %d bytes or more, at most %d", ErrTooLarge, total, MaxTx)
	}
	tx.sizes[at].bytes += int32(bytes)
	return nil
}

// Room returns how many bytes more, about, the transaction can write to a shard.
func (tx *Tx) Room(shard int) int {
	room, total := MaxCommit, MaxTx
	for _, s := range tx.sizes {
		total -= int(s.bytes)
		if int(s.shard) == shard {
			room -= int(s.bytes)
		}
	}
	return max(0, min(room, total))
}

// shrink takes back what grow noted.
func (tx *Tx) shrink(shard, bytes int) {
	i := slices.IndexFunc(tx.sizes, func(s shardSize) bool { return int(s.shard) == shard })
	tx.sizes[i].bytes -= int32(bytes)
}

// Beside adds to the transaction what its store understands and the log does not:
// it happens with what else the transaction writes, or not at all. Packages of
// stores use it, such as eventlog/datastorelog for entities of the user's own; a
// store that does not know v refuses the transaction. Such a transaction shares
// its durable write with no other.
func (tx *Tx) Beside(v any) error {
	switch {
	case tx.over:
		return errOver
	case tx.view:
		return ErrReadOnly
	}
	tx.beside = append(tx.beside, v)
	return nil
}

// dropEvents takes back the events behind the first n.
func (tx *Tx) dropEvents(n int) {
	for i := len(tx.events) - 1; i >= n; i-- {
		e := &tx.events[i]
		tx.shrink(shardOf(e.stream, len(tx.log.lanes)), e.size())
		if tx.written != nil {
			tx.written.drop(e)
		}
	}
	tx.events = tx.events[:n]
}
