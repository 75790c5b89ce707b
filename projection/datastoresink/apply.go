package datastoresink

import (
	"context"
	"errors"
	"fmt"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// Apply runs fn and moves the checkpoints in one transaction. The checkpoints come
// first: where they refuse, fn does not run. When the answer of the commit is lost, the
// checkpoints tell whether it took effect.
func (s *Sink) Apply(ctx context.Context, b projection.Batch, fn func(tx *Tx) error) error {
	err := s.apply(ctx, b, fn)
	if err != nil {
		return fmt.Errorf("datastoresink: apply to %s: %w", b.Name, err)
	}
	return nil
}

func (s *Sink) apply(ctx context.Context, b projection.Batch, fn func(tx *Tx) error) error {
	var refused error // before the commit
	err := s.update(ctx, func(tx *Tx) error {
		tx.single = single(b)
		refused = s.move(tx, b)
		if refused == nil {
			refused = fn(tx)
		}
		return refused
	})
	if err == nil || refused != nil || ctx.Err() != nil {
		return err
	}
	if s.moved(ctx, b) {
		return nil
	}
	return err
}

// single tells whether a batch is of one commit at most, and so cannot be smaller.
func single(b projection.Batch) bool {
	return len(b.Moves) == 0 || len(b.Moves) == 1 && b.Moves[0].To.Revision <= b.Moves[0].From.Revision+1
}

// move checks where the checkpoints are and writes where they will be. They are the
// transaction's own business, not rows of fn's.
func (s *Sink) move(tx *Tx, b projection.Batch) error {
	list, err := s.at(tx, b)
	if err != nil {
		return err
	}
	for i, m := range b.Moves {
		switch have := list[i]; {
		case have.Format == 0 || have.Version != b.Version || have.Revision != int64(m.From.Revision):
			return fmt.Errorf("%w: version %d shard %d is not at revision %d", projection.ErrMoved, b.Version, m.To.Shard, m.From.Revision)
		case known(have.Format) != nil:
			return known(have.Format)
		}
		if _, err := tx.tx.Put(s.checkpointKey(b.Name, m.To.Shard), stored(b.Version, m.To)); err != nil {
			return err
		}
	}
	return nil
}

// at reads the checkpoints that a batch moves; missing ones have format 0.
func (s *Sink) at(tx *Tx, b projection.Batch) ([]checkpoint, error) {
	keys := make([]*datastore.Key, len(b.Moves))
	for i, m := range b.Moves {
		keys[i] = s.checkpointKey(b.Name, m.To.Shard)
	}
	list := make([]checkpoint, len(keys))
	if err := present(tx.tx.GetMulti(keys, list)); err != nil {
		tx.failed = unavailable(err)
		return nil, tx.failed
	}
	return list, nil
}

// present is an error of GetMulti unless it only says that some are missing.
func present(err error) error {
	var each datastore.MultiError
	if !errors.As(err, &each) {
		return err
	}
	for _, e := range each {
		if e != nil && e != datastore.ErrNoSuchEntity {
			return e
		}
	}
	return nil
}

// moved tells whether a batch took effect, by all of its checkpoints being where it
// moves them. That they are not proves nothing.
func (s *Sink) moved(ctx context.Context, b projection.Batch) bool {
	state, err := s.State(ctx, b.Name)
	if err != nil || state.Version != b.Version {
		return false
	}
	for _, m := range b.Moves {
		if m.To.Shard >= len(state.Checkpoints) || state.Checkpoints[m.To.Shard].Revision != m.To.Revision {
			return false
		}
	}
	return len(b.Moves) > 0
}
