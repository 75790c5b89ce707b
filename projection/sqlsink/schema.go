package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrFormat: the sink's tables were made by a newer version of this package.
var ErrFormat = errors.New("incompatible tables")

const format = 1

// The projection's row names the version that its tables hold. Checkpoints are
// kept by version, so that another one can be built beside it. A stop is there
// while a projection stands still.
var tables = []string{
	`create table if not exists rollforward_format (format integer not null)`,

	`create table if not exists rollforward_projection (
		projection text not null primary key,
		version    integer not null)`,

	`create table if not exists rollforward_checkpoint (
		projection    text not null,
		version       integer not null,
		shard         integer not null,
		revision      bigint not null default 0,
		handled       bigint not null default 0,
		skipped       bigint not null default 0,
		last_revision bigint not null default 0,
		last_commit   text not null default '',
		last_time     bigint not null default 0,
		primary key (projection, version, shard))`,

	`create table if not exists rollforward_stop (
		projection text not null primary key,
		version    integer not null,
		time       bigint not null,
		shard      integer not null,
		revision   bigint not null,
		reason     text not null)`,
}

// create makes the tables where they are missing.
func (s *Sink) create(ctx context.Context) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, t := range tables {
			if _, err := tx.ExecContext(ctx, t); err != nil {
				return err
			}
		}
		var have int
		err := tx.QueryRowContext(ctx, `select format from rollforward_format`).Scan(&have)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.ExecContext(ctx, `insert into rollforward_format (format) values ($1)`, format)
			return err
		case err != nil:
			return err
		case have != format:
			return fmt.Errorf("%w: they have format %d, this program knows %d", ErrFormat, have, format)
		}
		return nil
	})
}
