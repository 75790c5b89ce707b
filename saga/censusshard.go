package saga

import (
	"context"
	"errors"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// A censusShard counts one shard. Its state belongs to the goroutine that runs it.
type censusShard struct {
	*census
	lease lease.Lease
	shard int

	stored lease.Cursor[censusCell] // the cell
	saved  time.Time                // when it was written last
	at     driver.Revision          // counted up to here
	sagas  population               // what was counted; replaced, never changed
	fresh  bool                     // the cell does not say the same of some saga

	loaded  bool // the cell was read
	failing bool
}

const (
	censusChunk = 4096 // commits that are counted at once
	censusLazy  = 4096 // commits without a change after which the cell is written
	censusGrace = 2 * time.Second
)

// censusTypes are the types of events that may change a state.
var censusTypes = []string{evStarted, evDone, evRefused, evStopping, evStopped, evUndone, evParked, evRetried, evReverted, evSignal,
	evSpread, evRecalled, evChild, evMigrated, evForked, evNoted}

// run counts until ctx ends or the lease is lost.
func (s *censusShard) run(ctx context.Context) error {
	defer s.troubles.Well(s.shard)
	defer s.forget(s.shard)
	for ctx.Err() == nil {
		switch err := s.follow(ctx); {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, lease.ErrLost):
			s.logger.Warn("the counts of a shard's sagas are in other hands", "shard", s.shard, "err", err)
			return nil
		case lease.Fatal(err):
			return err
		default:
			s.failed(err)
		}
		jitter.Pause(ctx, s.sweep) // what comes meanwhile is read with what came
	}
	s.finish(ctx)
	return nil
}

// follow counts what there is, and waits until there is more.
func (s *censusShard) follow(ctx context.Context) error {
	if !s.loaded {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	if s.failing {
		s.failing = false
		s.troubles.Well(s.shard)
		s.logger.Info("the sagas of a shard can be counted again", "shard", s.shard)
	}
	return s.log.WaitFor(ctx, eventlog.Position{}.With(s.shard, s.at+1))
}

// failed says that something keeps the shard from being counted: once, not each time.
func (s *censusShard) failed(err error) {
	if s.troubles.Note(s.shard, err); !s.failing {
		s.logger.Error("the sagas of a shard cannot be counted", "shard", s.shard, "err", err)
	}
	s.failing = true
}

// load reads the cell.
func (s *censusShard) load(ctx context.Context) error {
	c, err := s.cursors.Load(ctx, s.lease)
	if err != nil {
		return err
	}
	s.stored, s.at, s.sagas, s.loaded = c, c.At.Revision, c.At.Sagas, true
	return nil
}

// look counts what there is, and writes down what it came to.
func (s *censusShard) look(ctx context.Context) error {
	if err := s.catchUp(ctx); err != nil {
		s.forget(s.shard) // what was counted may be long ago
		return err
	}
	s.publish(s.lease, s.at, s.sagas)
	if s.due() {
		return s.save(ctx)
	}
	return nil
}

// catchUp counts up to the end of the shard, in pieces: where it takes long, what was
// counted is written down on the way.
func (s *censusShard) catchUp(ctx context.Context) error {
	tail, err := s.log.Tail(ctx, s.shard)
	for err == nil && s.at < tail {
		if err = s.count(ctx, min(tail, s.at+censusChunk)); err == nil && s.at < tail && s.due() && time.Since(s.saved) >= s.sweep {
			err = s.save(ctx)
		}
	}
	return err
}

// count counts the commits up to a revision: all of them, or none.
func (s *censusShard) count(ctx context.Context, to driver.Revision) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	moved := make(population)
	q := eventlog.Query{Shards: []int{s.shard}, From: uint64(s.at) + 1, To: uint64(to), Types: censusTypes, System: true}
	for r, err := range s.log.Read(ctx, q) {
		if err != nil {
			return err
		}
		saga, _, ok := splitStream(r.Stream)
		if !ok {
			continue
		}
		var e event
		if err := e.parse(r.Data); err != nil { // nobody can read its instance either
			s.logger.Error("an event of a saga cannot be read, and is not counted", "stream", r.Stream, "version", r.Version, "err", err)
			continue
		}
		if e.Is != "" {
			moved.move(saga, &e)
		}
	}
	s.at = to
	if len(moved) > 0 {
		s.sagas, s.fresh = s.sagas.plus(moved), true
	}
	return nil
}

// due reports whether the cell is to be written.
func (s *censusShard) due() bool { return s.fresh || s.at-s.stored.At.Revision >= censusLazy }

func (s *censusShard) save(ctx context.Context) (err error) {
	s.stored, err = s.cursors.Save(ctx, s.lease, s.stored, censusCell{Revision: s.at, Sagas: s.sagas})
	if err == nil {
		s.saved, s.fresh = time.Now(), false
	}
	return err
}

// finish writes down how far it came, for whoever comes next. That loses nothing but
// time if it fails.
func (s *censusShard) finish(ctx context.Context) {
	if s.at == s.stored.At.Revision {
		return
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), censusGrace)
	defer cancel()
	if err := s.save(soon); err != nil {
		s.logger.Warn("the counts of a shard's sagas are not written down", "shard", s.shard, "err", err)
	}
}
