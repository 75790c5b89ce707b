package datastoresink

import (
	"context"
	"fmt"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// Reset gives the projection a new, empty namespace for its rows, runs fn, and sets
// the checkpoints to zero, in one transaction. The rows that it had are left for
// Clear.
func (s *Sink) Reset(ctx context.Context, r projection.Reset, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if err := s.transact(ctx, r.Name, &start{sink: s, Reset: r, rows: newRows(s.o.Namespace, r.Name)}, false, fn); err != nil {
		return fmt.Errorf("datastoresink: reset %s: %w", r.Name, err)
	}
	return nil
}

// A start is a Reset under way.
type start struct {
	sink *Sink
	projection.Reset
	rows string
	old  held
}

func (r *start) begin(ctx context.Context, get lookup) (rows string, done bool, err error) {
	r.old, err = r.sink.projection(ctx, get, r.Name)
	switch {
	case err != nil:
		return "", false, err
	case r.old.Rows == r.rows:
		return "", true, nil
	case r.old.Version != r.Held:
		return "", false, &refusal{fmt.Errorf("%w: the sink does not hold version %d", projection.ErrMoved, r.Held)}
	}
	return r.rows, false, nil
}

// finish writes over the checkpoints of the rows that were, so that an Apply to them
// that is under way fails, and nothing is written to them any more.
func (r *start) finish(t *datastore.Transaction, rows string) error {
	s := r.sink
	if _, err := t.Put(s.projectionKey(r.Name), &held{Format: format, Version: r.Version, Shards: r.Shards, Rows: rows}); err != nil {
		return err
	}
	for shard := range max(r.Shards, r.old.Shards) {
		key := s.checkpointKey(r.Name, shard)
		if shard >= r.Shards {
			if err := t.Delete(key); err != nil {
				return err
			}
		} else if _, err := t.Put(key, &checkpoint{Rows: rows, Version: r.Version}); err != nil {
			return err
		}
	}
	if r.old.Rows != "" {
		if _, err := t.Put(s.garbageKey(r.old.Rows), &struct{}{}); err != nil {
			return err
		}
	}
	return t.Delete(s.stopKey(r.Name))
}
