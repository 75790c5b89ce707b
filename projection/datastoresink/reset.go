package datastoresink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/projection"
)

// Clear returns a Projection.Reset that deletes all entities of some kinds, in the
// sink's namespace.
func Clear(kinds ...string) func(tx *Tx) error {
	return func(tx *Tx) error {
		for _, kind := range kinds {
			tx.clear(kind)
		}
		return nil
	}
}

// Reset runs fn and sets the checkpoints to zero in one transaction. Where fn clears
// more than one transaction takes, the projection is first marked as held by nobody, so
// that nothing can be applied; then entities are deleted, in transactions that make sure
// of the mark; and the last transaction does what the one would have done.
func (s *Sink) Reset(ctx context.Context, r projection.Reset, fn func(tx *Tx) error) error {
	if err := s.reset(ctx, r, fn); err != nil {
		return fmt.Errorf("datastoresink: reset %s: %w", r.Name, err)
	}
	return nil
}

func (s *Sink) reset(ctx context.Context, r projection.Reset, fn func(tx *Tx) error) error {
	z := &resetting{Sink: s, Reset: r, fn: fn, who: rand.Text()}
	err := z.finish(ctx, z.hold)
	if !errors.Is(err, errLarge) {
		return err
	}
	if err := z.mark(ctx); err != nil {
		return err
	}
	for errors.Is(err, errLarge) {
		if err = z.empty(ctx); err == nil {
			err = z.finish(ctx, z.marked)
		}
	}
	return err
}

// errLarge: one transaction cannot delete all of it.
var errLarge = errors.New("too many entities for one transaction")

// resetting is one Reset.
type resetting struct {
	*Sink
	projection.Reset
	fn    func(tx *Tx) error
	who   string
	kinds map[string]bool // that fn clears
}

// finish is the transaction that makes the projection start at its beginning, if held
// agrees.
func (z *resetting) finish(ctx context.Context, held func(tx *Tx) (head, error)) error {
	var refused error
	err := z.update(ctx, func(tx *Tx) error {
		tx.single = true
		refused = z.begin(tx, held)
		return refused
	})
	if err == nil || refused != nil || ctx.Err() != nil {
		return err
	}
	if h, e := z.head(ctx); e == nil && h.Reset == z.who && h.Version == z.Version {
		return nil // the answer was lost, no more
	}
	return err
}

func (z *resetting) begin(tx *Tx, held func(tx *Tx) (head, error)) error {
	h, err := held(tx)
	if err != nil {
		return err
	}
	if err := z.fn(tx); err != nil {
		return err
	}
	z.kinds = tx.cleared
	if err := z.sweep(tx); err != nil {
		return err
	}
	return z.put(tx, h, head{Format: format, Version: z.Version, Shards: z.Shards, Reset: z.who})
}

// hold reads the head and makes sure that it is of the version that is held.
func (z *resetting) hold(tx *Tx) (head, error) {
	h, err := z.read(tx)
	if err == nil && h.Version != z.Held {
		err = fmt.Errorf("%w: the sink does not hold version %d", projection.ErrMoved, z.Held)
	}
	return h, err
}

// marked makes sure that nobody else has begun a reset since mark.
func (z *resetting) marked(tx *Tx) (head, error) {
	h, err := z.read(tx)
	if err == nil && (h.Version != 0 || h.Reset != z.who) {
		err = fmt.Errorf("%w: another reset has begun", projection.ErrMoved)
	}
	return h, err
}

func (z *resetting) read(tx *Tx) (h head, err error) {
	switch err := tx.tx.Get(z.headKey(z.Name), &h); {
	case err == datastore.ErrNoSuchEntity:
		return head{}, nil
	case err != nil:
		tx.failed = unavailable(err)
		return h, tx.failed
	}
	return h, known(h.Format)
}

// head reads the head outside of a transaction.
func (z *resetting) head(ctx context.Context) (h head, err error) {
	ctx, cancel := context.WithTimeout(ctx, z.opts.Timeout)
	defer cancel()
	err = z.client.Get(ctx, z.headKey(z.Name), &h)
	return h, err
}

// put writes a new head, its zero checkpoints, and deletes what was beside the old one.
func (z *resetting) put(tx *Tx, old, h head) error {
	if _, err := tx.tx.Put(z.headKey(z.Name), &h); err != nil {
		return err
	}
	if err := tx.tx.Delete(z.stopKey(z.Name)); err != nil {
		return err
	}
	for shard := range max(old.Shards, h.Shards) {
		var err error
		if key := z.checkpointKey(z.Name, shard); shard < h.Shards {
			_, err = tx.tx.Put(key, stored(h.Version, projection.Checkpoint{}))
		} else {
			err = tx.tx.Delete(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
