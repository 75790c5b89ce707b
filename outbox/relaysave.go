package outbox

import (
	"context"
	"errors"

	"github.com/rollforward/rollforward/internal/lease"
)

type relaySaved struct {
	mark relayMark
	err  error
}

// save writes the cursor without holding up the work.
func (s *relayShard) save(ctx context.Context) {
	if s.saves != nil {
		return
	}
	done := make(chan relaySaved, 1)
	s.saves, s.dirty = done, false
	mark, at := s.mark, s.at
	go func() {
		mark, err := s.cursors.Save(ctx, s.lease, mark, relayCursor{Revision: at.Revision, Done: at.Done})
		done <- relaySaved{mark, err}
	}()
}

// saved takes in what became of a saving.
func (s *relayShard) saved(d relaySaved) error {
	s.saves, s.mark = nil, d.mark
	switch {
	case d.err == nil:
		s.well(s.part(relaySaving))
	case errors.Is(d.err, lease.ErrLost) || lease.Fatal(d.err):
		return d.err
	default:
		s.dirty = true
		s.trouble(s.part(relaySaving), d.err)
		s.logger.Warn("the cursor of a shard cannot be saved", "shard", s.shard, "err", d.err)
	}
	return nil
}

// finish waits for the calls under way, as long as hand allows, and saves how
// far they came.
func (s *relayShard) finish(ctx, hand context.Context) {
	for s.busy > 0 && hand.Err() == nil {
		select {
		case r := <-s.results:
			s.settle(r)
		case <-hand.Done():
		}
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if s.saves != nil {
		if s.saved(<-s.saves) != nil {
			return
		}
	}
	if s.at != s.mark.At.place() {
		s.save(soon)
		_ = s.saved(<-s.saves)
	}
}
