package projection

import (
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A batch gathers the effects of some commits of a shard. Events are decoded
// here, before the sink's transaction begins, so that it is short.
type batch[T any] struct {
	move    Move
	effects []effect[T]
	skipped map[string]uint64 // by type
	events  int               // read, system events included
	bytes   int
}

// An effect is what one event does to the read model.
type effect[T any] struct {
	record eventlog.Record
	apply  func(tx T) error
}

const (
	defaultBatch = 1000    // events
	maxBytes     = 4 << 20 // of payload in a batch
)

func (b *batch[T]) begin(at Checkpoint) {
	clear(b.effects)
	*b = batch[T]{move: Move{From: at, To: at}, effects: b.effects[:0]}
}

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

// A pace says how many events go into a transaction: as many as take the sink a
// fifth of a second, so that others get their turn and a shutdown is quick.
type pace struct{ limit, max int }

const (
	firstPace = 64
	longBatch = 200 * time.Millisecond
)

func newPace(limit int) pace {
	if limit == 0 {
		limit = defaultBatch
	}
	return pace{min(firstPace, limit), limit}
}

// took learns from a transaction of so many events.
func (p *pace) took(events int, d time.Duration) {
	switch {
	case d > longBatch:
		p.limit = max(1, min(p.limit, events)/2)
	case d < longBatch/2 && events >= p.limit:
		p.limit = min(2*p.limit, p.max)
	}
}
