package outbox

import (
	"bytes"
	"context"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
)

// A relayArrival is what the reading of a shard brings: an event, or that there
// are no others up to a place, or an error after which it goes on by itself.
type relayArrival struct {
	record *eventlog.Record
	place  shardPlace // behind it
	err    error
}

// read brings the events of the shard, in order, as they are wanted, until ctx
// ends.
func (s *relayShard) read(ctx context.Context, at shardPlace) {
	defer close(s.arrivals)
	for attempt := 1; ctx.Err() == nil; attempt++ {
		before := at
		err := s.readOn(ctx, &at)
		if at != before {
			attempt = 1
		}
		s.send(ctx, relayArrival{err: err})
		jitter.Pause(ctx, faults.delay(attempt))
	}
}

func (s *relayShard) send(ctx context.Context, a relayArrival) (ok bool) {
	select {
	case s.arrivals <- a:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *relayShard) readOn(ctx context.Context, at *shardPlace) error {
	for {
		tail, err := s.Log.Tail(ctx, s.shard)
		if err != nil {
			return err
		}
		if tail > at.Revision {
			q := eventlog.Query{Shards: []int{s.shard}, From: uint64(at.Revision) + 1, To: uint64(tail), Types: s.types, Category: s.category}
			for r, err := range s.Log.Read(ctx, q) {
				if err != nil {
					return err
				}
				if at.passed(&r) {
					continue
				}
				r.Data = bytes.Clone(r.Data) // what is held must not hold its page
				if !s.send(ctx, relayArrival{record: &r, place: placeBehind(&r)}) {
					return ctx.Err()
				}
				*at = placeBehind(&r)
			}
			*at = shardPlace{Revision: tail}
		}
		if !s.send(ctx, relayArrival{place: *at}) {
			return ctx.Err()
		}
		if err := s.Log.WaitFor(ctx, eventlog.Position{}.With(s.shard, at.Revision+1)); err != nil {
			return err
		}
	}
}
