package projectiontest

import (
	"context"
	"database/sql"
	"errors"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/projection"
)

// repeating is a sink that rolls each transaction back once and repeats it, as a
// sink may whose database asks for that.
type repeating struct{ projection.Sink[*sql.Tx] }

var errAgain = errors.New("rolled back to be repeated")

func (s repeating) Apply(ctx context.Context, b projection.Batch, fn func(tx *sql.Tx) error) error {
	err := s.Sink.Apply(ctx, b, func(tx *sql.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return s.Sink.Apply(ctx, b, fn)
}

// late is a store whose shards are empty as yet, but for those from first on. It
// is another's, which closes it.
type late struct {
	driver.Log
	first int
}

func (l *late) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if shard < l.first {
		return 0, nil
	}
	return l.Log.Tail(ctx, shard)
}

func (l *late) Close() error { return nil }
