package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/projection"
)

// Note keeps why a projection stopped; nil forgets it.
func (s *Sink) Note(ctx context.Context, name string, stop *projection.Stop) error {
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		if stop == nil {
			_, err = tx.ExecContext(ctx, `delete from rollforward_stop where projection = $1`, name)
			return err
		}
		_, err = tx.ExecContext(ctx, `
			insert into rollforward_stop (projection, version, time, shard, revision, reason) values ($1, $2, $3, $4, $5, $6)
			on conflict (projection) do update set version = excluded.version, time = excluded.time,
				shard = excluded.shard, revision = excluded.revision, reason = excluded.reason`,
			name, stop.Version, stop.Time.UnixNano(), stop.Shard, stop.Revision, stop.Reason)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlsink: note of %s: %w", name, err)
	}
	return nil
}

func (s *Sink) stop(ctx context.Context, name string) (*projection.Stop, error) {
	var out projection.Stop
	var nanos int64
	err := s.read.QueryRowContext(ctx, `select version, time, shard, revision, reason from rollforward_stop where projection = $1`, name).
		Scan(&out.Version, &nanos, &out.Shard, &out.Revision, &out.Reason)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	out.Time = time.Unix(0, nanos).UTC()
	return &out, nil
}
