package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// An item is a step in hand. It belongs to its dispatcher. Of one that waits only
// this small header is kept; its payload is read again when it runs.
type item struct {
	id      eventlog.ID
	shard   int    // the emitter's
	version uint64 // in the emitter's $steps stream
	time    time.Time
	typ     string
	target  string
	step    *enqueued // nil: not in memory
	decided bool
	waits   bool // for its time, or for a handler
	parked  bool // the cursor passed it
}

// newItem decodes a record of a $steps stream.
func newItem(r *eventlog.Record) (*item, error) {
	it := &item{id: r.ID, shard: r.Shard, version: r.Version, time: r.Time}
	if r.Type != typeEnqueued {
		return it, fmt.Errorf("%w: %s in %s", eventlog.ErrUnknownType, r.Type, r.Stream)
	}
	s := new(enqueued)
	if err := json.Unmarshal(r.Data, s); err != nil {
		return it, fmt.Errorf("step %s: %w", it.id, err)
	}
	it.typ, it.target, it.step = s.Type, s.Target, s
	return it, nil
}

// size is what the item holds in memory beyond its header.
func (it *item) size() int {
	if it.step == nil {
		return 0
	}
	return len(it.step.Data)
}

// A pending is an item with its payload, in a batch.
type pending struct {
	*item
	step *enqueued
}

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

func (p pending) raw() Raw { return Raw{Type: p.typ, Stream: p.target, Data: p.step.Data} }

// meta is that of the commit in which the step runs.
func (p pending) meta() eventlog.Meta {
	return eventlog.Meta{Correlation: p.step.Chain, Causation: p.id, Actor: p.step.Actor, Traceparent: p.step.Traceparent}
}
