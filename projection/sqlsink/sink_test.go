package sqlsink_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/rollforward/rollforward/projection/sinktest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func TestSink(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Store[*sql.Tx] {
		return store(t, filepath.Join(t.TempDir(), "read.db"))
	})
}

// store opens a sink with the table that the suite writes to.
func store(t *testing.T, path string) sinktest.Store[*sql.Tx] {
	s := open(t, path)
	write(t, path, `create table if not exists item (key text primary key, n integer not null)`)
	return sinktest.Store[*sql.Tx]{
		Sink:  s,
		Clear: sqlsink.Schema(`drop table item`, `create table item (key text primary key, n integer not null)`),
		Add: func(tx *sql.Tx, key string, n int) error {
			_, err := tx.Exec(`insert into item (key, n) values ($1, $2) on conflict (key) do update set n = n + excluded.n`, key, n)
			return err
		},
		Rows: func(ctx context.Context) (map[string]int, error) { return items(ctx, s.DB()) },
		Reopen: func() sinktest.Store[*sql.Tx] {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			return store(t, path)
		},
	}
}

func items(ctx context.Context, db *sql.DB) (map[string]int, error) {
	rows, err := db.QueryContext(ctx, `select key, n from item`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[string]int)
	for rows.Next() {
		var key string
		var n int
		if err := rows.Scan(&key, &n); err != nil {
			return nil, err
		}
		out[key] = n
	}
	return out, rows.Err()
}
