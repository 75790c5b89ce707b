package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// An item is a step in hand. It belongs to its engine's goroutine. Of one that
// waits only this small header is kept; its payload is read again when it runs.
type item struct {
	src     *source
	version uint64 // in the emitter's $steps stream
	id      eventlog.ID
	time    time.Time // of its commit
	typ     string
	target  string
	timer   string
	again   bool          // a dead letter that was decided on
	due     time.Time     // not before
	handler *Handler      // nil: nobody knows the type
	err     error         // it cannot be read
	seq     uint64        // its place among the items of its target that other sources have
	raw     []byte        // as stored; nil: not in memory
	length  int           // of what is stored, 0: not known
	effect  *effectResult // of a run
	exited  error         // its handler has ended the goroutine: an attempt to be counted
	apart   bool          // what it did at once has

	cell   string // that it is stored in; "": none
	left   string // that it is being moved out of
	kind   string // of the cell that it is to be in
	reason string // why it is parked
	over   bool
	look   bool // once more: somebody decided on it while it was in hand
	alarm  bool // among what the source waits for
}

// newItem reads what there is to know of a record of a $steps stream before its
// step runs. Most steps say their type and target and are not special: of these
// the rest is decoded when it is needed.
func newItem(r *eventlog.Record) *item {
	it := &item{version: r.Version, id: r.ID, time: r.Time, length: len(r.Data)}
	if r.Type != typeEnqueued && r.Type != typeAgain {
		it.err = fmt.Errorf("%w: %s in %s", eventlog.ErrUnknownType, r.Type, r.Stream)
		return it
	}
	var ok bool
	if it.typ, it.target, ok = plainHeader(r.Data); ok && r.Type == typeEnqueued {
		it.raw = r.Data
		return it
	}
	s := new(enqueued)
	if err := json.Unmarshal(r.Data, s); err != nil {
		it.err = fmt.Errorf("step %s: %w", it.id, err)
		return it
	}
	it.typ, it.target, it.timer, it.raw = s.Type, s.Target, s.Timer, r.Data
	if s.Due != nil {
		it.due = *s.Due
	}
	if r.Type == typeAgain {
		it.again, it.id = true, s.Step
	}
	return it
}

// plainHeader reads the type and target of what encodeStep writes by hand, which
// has no time of its own.
func plainHeader(data []byte) (typ, target string, ok bool) {
	p := plainReader{rest: data, ok: true}
	t, s := p.text(`{"type":"`), p.text(`,"target":"`)
	if !p.ok || !bytes.HasPrefix(p.rest, []byte(`,"chain":"`)) || data[len(data)-1] != '}' {
		return "", "", false
	}
	return string(t), string(s), true
}

// lane is the first segment of the target's name: the tenant.
func (it *item) lane() string { return laneOf(it.target) }

// size is what the item holds in memory beyond its header.
func (it *item) size() int {
	return len(it.raw)
}

// priority is that of the item's type.
func (it *item) priority() int {
	if it.handler == nil {
		return 0
	}
	return it.handler.Policy.Priority
}

// before orders the items of a target.
func (it *item) before(other *item) bool {
	if p, q := it.priority(), other.priority(); p != q {
		return p > q
	}
	if it.src == other.src {
		return it.version < other.version
	}
	return it.seq < other.seq
}

// born is a time before which nothing can stand under the item's tag.
func (it *item) born() time.Time {
	if it.again {
		return time.Time{}
	}
	return it.time
}

// raw is what the handler sees.
func (e *enqueued) raw() Raw { return Raw{Type: e.Type, Stream: e.Target, Data: e.Data} }

// readSteps yields the steps of a shard at these versions, which rise. Versions
// that lie close together are read together: a commit may hold many of them.
func readSteps(ctx context.Context, l *eventlog.Log, shard int, versions []uint64) iter.Seq2[eventlog.Record, error] {
	return func(yield func(eventlog.Record, error) bool) {
		for len(versions) > 0 {
			n := 1
			for n < len(versions) && versions[n]-versions[n-1] <= closeBy {
				n++
			}
			q := eventlog.Query{Stream: stepsStream(shard), From: versions[0], To: versions[n-1]}
			for r, err := range l.Read(ctx, q) {
				if err != nil {
					yield(r, err)
					return
				}
				if r.Version != versions[0] {
					continue
				}
				if versions = versions[1:]; !yield(r, nil) {
					return
				}
				n--
			}
			if n > 0 {
				yield(eventlog.Record{}, fmt.Errorf("%w: no step at version %d of %s", eventlog.ErrCorrupt, versions[0], q.Stream))
				return
			}
		}
	}
}

const closeBy = 64
