package outbox

import (
	"errors"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// failed takes down that something failed, and returns how long to wait before
// the next attempt.
func (s *reactorShard) failed(err error) time.Duration {
	var e *reactorError
	blamed := errors.As(err, &e)
	var event eventlog.ID // none: the store is to blame
	if blamed {
		event = e.record.ID
	}
	if s.failing != event {
		s.failing, s.attempt = event, 0
	}
	s.attempt++
	s.troubles.Note(s.shard, err)
	if !blamed {
		s.logger.Error("the events of a shard cannot be reacted to", "shard", s.shard, "attempt", s.attempt, "err", err)
		return faults.delay(s.attempt)
	}
	s.logger.Warn("an event failed and is tried again; it holds up its shard", "shard", s.shard, "event", event,
		"type", e.record.Type, "stream", e.record.Stream, "version", e.record.Version, "attempt", s.attempt, "err", e.err)
	if f := s.hooks.Failed; f != nil {
		f(e.record, s.attempt, e.err)
	}
	return s.pauses.delay(s.attempt)
}

// report tells what was committed.
func (s *reactorShard) report(b *reactorBatch) {
	if b.done > 0 {
		s.recovered()
	}
	for _, k := range b.skipped {
		s.logger.Error("an event is skipped", "shard", s.shard, "event", k.record.ID, "type", k.record.Type,
			"stream", k.record.Stream, "version", k.record.Version, "err", k.err)
		if f := s.hooks.Skipped; f != nil {
			f(*k.record, k.err)
		}
	}
	if f := s.hooks.Reacted; f != nil && b.done > 0 {
		f(s.shard, b.done)
	}
}

// recovered forgets what failed.
func (s *reactorShard) recovered() {
	s.failing, s.attempt = eventlog.ID{}, 0
	s.troubles.Well(s.shard)
}
