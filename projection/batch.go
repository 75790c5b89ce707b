package projection

import (
	"github.com/rollforward/rollforward/eventlog"
)

// A batch gathers what some commits of a shard do to a read model. Events are
// decoded here, before the sink's transaction begins, so that it is short.
type batch[T any] struct {
	move    Move
	effects []effect[T]
	skipped map[string]uint64 // by type
	commits int
	events  int // read, system events included
	bytes   int
}

// An effect is what one event does.
type effect[T any] struct {
	record eventlog.Record
	apply  func(tx T) error
}

const (
	defaultBatch = 1000    // events
	maxBytes     = 1 << 20 // of payload: each shard of each projection may hold that much
)

// begin empties the batch: the sink is at this checkpoint.
func (b *batch[T]) begin(at Checkpoint) {
	clear(b.effects)
	*b = batch[T]{move: Move{From: at, To: at}, effects: b.effects[:0]}
}

// isEmpty reports whether there is nothing to tell the sink.
func (b *batch[T]) isEmpty() bool { return b.move.To.Revision == b.move.From.Revision }

// add takes the next record of the shard. The checkpoint moves with the last
// record of a commit.
func (b *batch[T]) add(p *Projection[T], handlers map[string]Handler[T], rec eventlog.Record) error {
	b.events++
	b.bytes += len(rec.Data)
	if !isSystem(rec.Stream) {
		if err := b.bind(p, handlers, rec); err != nil {
			return err
		}
	}
	if rec.Last() {
		b.commits++
		b.move.To.Revision = rec.Revision
		b.move.To.Last = Mark{Revision: rec.Revision, Commit: rec.Commit(), Time: rec.Time}
	}
	return nil
}

func (b *batch[T]) bind(p *Projection[T], handlers map[string]Handler[T], rec eventlog.Record) error {
	h, ok := handlers[rec.Type]
	switch {
	case ok:
		apply, err := h.bind(rec)
		if err != nil {
			return &EventError{Projection: p.Name, Record: rec, Err: &decodeError{err}}
		}
		b.effects = append(b.effects, effect[T]{rec, apply})
		b.move.To.Handled++
	case p.Else != nil:
		b.effects = append(b.effects, effect[T]{rec, func(tx T) error { return p.Else(tx, rec) }})
		b.move.To.Handled++
	default:
		if b.skipped == nil {
			b.skipped = make(map[string]uint64)
		}
		b.skipped[rec.Type]++
		b.move.To.Skipped++
	}
	return nil
}

// isSystem reports whether a stream is the library's own. Such events take no
// effect in a read model and are not counted.
func isSystem(stream string) bool { return stream != "" && stream[0] == '$' }

// run runs the effects in the sink's transaction.
func (b *batch[T]) run(tx T, name string) error {
	for i := range b.effects {
		e := &b.effects[i]
		if err := guard(func() error { return e.apply(tx) }); err != nil {
			return &EventError{Projection: name, Record: e.record, Err: err}
		}
	}
	return nil
}
