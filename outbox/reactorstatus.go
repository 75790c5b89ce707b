package outbox

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
)

// A ReactorShard says how a Reactor fares in one shard.
type ReactorShard struct {
	Shard int
	// Revision is how far the events have been dealt with, as far as it is written
	// down: up to 4096 commits without an event to react to may be behind it.
	Revision driver.Revision
	Tail     driver.Revision // of the shard
	Events   uint64          // that were dealt with
	Skipped  uint64          // of these
	Runner   string          // who has the lease; "": nobody
	Host     string          // and process of it
	Epoch    uint64          // of the lease
}

// Status returns how the Reactor of this Name fares, by shard. It works in any
// process that has the log; Log and Name are enough.
func (r *Reactor) Status(ctx context.Context) ([]ReactorShard, error) {
	list, err := r.status(ctx)
	if err != nil {
		return nil, fmt.Errorf("outbox: reactor %s: status: %w", r.Name, err)
	}
	return list, nil
}

func (r *Reactor) status(ctx context.Context) ([]ReactorShard, error) {
	if err := checkReaderName(r.Name); err != nil {
		return nil, err
	}
	moved := "$react-" + r.Name
	leases, err := lease.Leases(ctx, r.Log, moved, r.Log.Shards())
	if err != nil {
		return nil, err
	}
	list := make([]ReactorShard, len(leases))
	for i, l := range leases {
		s := ReactorShard{Shard: i, Runner: l.Name, Host: l.Host, Epoch: l.Epoch}
		err := r.Log.View(ctx, func(tx *eventlog.Tx) error {
			state, err := reactorModel.Load(tx, systemStream(moved, i))
			if err == nil {
				s.Revision = state.place(r.After.Revision(i)).Revision
				s.Events, s.Skipped = state.Events, state.Skipped
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if s.Tail, err = r.Log.Tail(ctx, i); err != nil {
			return nil, err
		}
		list[i] = s
	}
	return list, nil
}

// A SkippedEvent is one that React refused with [Abort].
type SkippedEvent struct {
	ID       eventlog.ID
	Shard    int
	Revision driver.Revision
	Stream   string
	Version  uint64
	Type     string
	Err      string
	Time     time.Time // when it was skipped
}

// Skipped yields the events that the Reactor of this Name skipped, by shard,
// oldest first. Log and Name are enough.
func (r *Reactor) Skipped(ctx context.Context) iter.Seq2[SkippedEvent, error] {
	return func(yield func(SkippedEvent, error) bool) {
		if err := checkReaderName(r.Name); err != nil {
			yield(SkippedEvent{}, fmt.Errorf("outbox: reactor: %w", err))
			return
		}
		for shard := range r.Log.Shards() {
			q := eventlog.Query{Stream: systemStream("$skipped-"+r.Name, shard)}
			for rec, err := range r.Log.Read(ctx, q) {
				var s reactorSkipped
				if err == nil {
					err = rec.Decode(&s)
				}
				if err != nil {
					yield(SkippedEvent{}, fmt.Errorf("outbox: reactor %s: skipped events: %w", r.Name, err))
					return
				}
				if !yield(SkippedEvent{s.Event, shard, s.Revision, s.Stream, s.Version, s.Type, s.Error, rec.Time}, nil) {
					return
				}
			}
		}
	}
}
