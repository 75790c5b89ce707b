package outbox

import (
	"context"
	"errors"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// A reactorShard reacts to the events of one shard. It trusts what it remembers
// as long as the log does not say otherwise.
type reactorShard struct {
	*reactor
	shard int

	saved   shardPlace // what the log says
	at      shardPlace // saved, and behind it commits without an event to react to
	limit   int        // events of the next batch
	reacted int
	failing eventlog.ID // the event that failed last
	attempt int         // how often in a row
}

// errReactorMoved sends a reactorShard back to what the log says.
var errReactorMoved = errors.New("another runner was faster")

const (
	reactorBytes = 512 << 10 // payloads of a batch, about
	reactorLazy  = 4096      // commits without an event to react to after which the log is told
)

func newReactorShard(e *reactor, shard int) *reactorShard {
	return &reactorShard{reactor: e, shard: shard, limit: e.batch}
}

// run reacts until ctx ends or the lease is lost.
func (s *reactorShard) run(ctx context.Context) error {
	defer s.troubles.Well(s.shard)
	for {
		err := s.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errReactorMoved):
			s.logger.Debug("another runner of this reactor was faster", "shard", s.shard)
			continue
		case lease.Fatal(err):
			return err
		}
		jitter.Pause(ctx, s.failed(err))
	}
}

// follow reacts to what there is and then waits for more, until something goes
// wrong.
func (s *reactorShard) follow(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	for {
		tail, err := s.Log.Tail(ctx, s.shard)
		if err == nil {
			err = s.catchUp(ctx, tail)
		}
		if err != nil {
			return err
		}
		s.recovered()
		if err := s.Log.WaitFor(ctx, eventlog.Position{}.With(s.shard, s.at.Revision+1)); err != nil {
			return err
		}
	}
}

// drain reacts to what there is.
func (s *reactorShard) drain(ctx context.Context) error {
	for {
		err := s.load(ctx)
		if err == nil {
			var tail driver.Revision
			if tail, err = s.Log.Tail(ctx, s.shard); err == nil {
				err = s.catchUp(ctx, tail)
			}
		}
		if !errors.Is(err, errReactorMoved) {
			return err
		}
	}
}

// load asks the log how far the shard is.
func (s *reactorShard) load(ctx context.Context) error {
	return s.Log.View(ctx, func(tx *eventlog.Tx) error {
		state, err := s.state(tx)
		if err == nil {
			s.saved = state.place(s.after.Revision(s.shard))
			s.at = s.saved
		}
		return err
	})
}

func (s *reactorShard) state(tx *eventlog.Tx) (*reactorState, error) {
	return reactorModel.Load(tx, systemStream(s.moved, s.shard))
}

// catchUp reacts to the events up to tail.
func (s *reactorShard) catchUp(ctx context.Context, tail driver.Revision) error {
	if tail <= s.at.Revision {
		return nil
	}
	var batch []eventlog.Record
	bytes := 0
	q := eventlog.Query{Shards: []int{s.shard}, From: uint64(s.at.Revision) + 1, To: uint64(tail), Types: s.types, Category: s.category}
	for r, err := range s.Log.Read(ctx, q) {
		if err != nil {
			return err
		}
		if s.at.passed(&r) {
			continue
		}
		batch = append(batch, r)
		if bytes += len(r.Data); len(batch) >= s.limit || bytes >= reactorBytes {
			if err := s.react(ctx, batch); err != nil {
				return err
			}
			batch, bytes = batch[:0], 0
		}
	}
	if err := s.react(ctx, batch); err != nil {
		return err
	}
	s.at = shardPlace{Revision: tail}
	if s.at.Revision-s.saved.Revision >= reactorLazy {
		return s.commit(ctx, &reactorBatch{reactorShard: s, to: s.at})
	}
	return nil
}

// react deals with records, in as many commits as it takes.
func (s *reactorShard) react(ctx context.Context, records []eventlog.Record) error {
	for len(records) > 0 {
		b := &reactorBatch{reactorShard: s, records: records[:min(len(records), s.limit)]}
		err := s.commit(ctx, b)
		if errors.Is(err, eventlog.ErrTooLarge) && len(b.records) > 1 {
			s.limit = len(b.records) / 2
			continue
		}
		if err != nil {
			return err
		}
		if b.failed != nil {
			return b.failed
		}
		records = records[b.done:]
	}
	return nil
}

// commit writes what a batch does. It may take its time when ctx ends meanwhile.
func (s *reactorShard) commit(ctx context.Context, b *reactorBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	hand, release := lease.Linger(ctx, s.grace)
	defer release()
	if _, err := s.Log.Update(hand, b.run); err != nil {
		if errors.Is(err, eventlog.ErrConflict) {
			s.limit = max(1, len(b.records)/2)
		}
		return b.blame(err)
	}
	s.saved, s.at = b.to, b.to
	s.reacted += b.done
	s.limit = min(s.batch, 2*s.limit)
	s.report(b)
	return nil
}
