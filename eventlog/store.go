package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A store is the driver, whose failures that say nothing of the call are
// ErrUnavailable.
type store struct{ driver.Log }

func (s store) Write(ctx context.Context, w driver.Write) error {
	return unavailable(ctx, s.Log.Write(ctx, w))
}

// mover is the store as one that moves Writes; ok is false when it does not.
func (s store) mover() (m mover, ok bool) {
	d, ok := s.Log.(driver.Mover)
	return mover{d}, ok
}

type mover struct{ driver.Mover }

func (m mover) Move(ctx context.Context, w driver.Write) ([]driver.Moved, error) {
	moved, err := m.Mover.Move(ctx, w)
	return moved, unavailable(ctx, err)
}

func (s store) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	r, err := s.Log.Tail(ctx, shard)
	return r, unavailable(ctx, err)
}

func (s store) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return available(ctx, s.Log.Read(ctx, shard, r))
}

func (s store) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return available(ctx, s.Log.Find(ctx, shard, key, r))
}

func (s store) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return available(ctx, s.Log.Keys(ctx, shard, prefix, after))
}

func (s store) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return available(ctx, s.Log.Cells(ctx, from, to, limit))
}

func available[T any](ctx context.Context, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			if !yield(v, unavailable(ctx, err)) {
				return
			}
		}
	}
}

// unavailable classes an error of the driver.
func unavailable(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, known := range []error{ErrUnknown, ErrTooLarge, ErrDiskFull, ErrClosed, ErrCorrupt, driver.ErrStale, driver.ErrBeside, errors.ErrUnsupported} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.As(err, new(*driver.TailError)) || errors.As(err, new(*driver.CellError)) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
