package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
)

// OpenSQLite opens the SQLite file at path, and creates it where there is none,
// with the driver that is registered as "sqlite" (import modernc.org/sqlite).
//
// The file is in WAL mode: readers, in this process and others, see the last
// committed state and never wait for the writer nor make it wait. There is one
// writer at a time; others wait for it, for half a minute at most. A commit is
// not synced by itself: after a power loss the file is consistent, rows and
// checkpoints alike stand at an earlier commit, and the runner goes on from there.
func OpenSQLite(ctx context.Context, path string) (*Sink, error) {
	s, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlsink: open %s: %w", path, err)
	}
	return s, nil
}

func openSQLite(ctx context.Context, path string) (*Sink, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", dsn(abs, "_txlock=immediate"))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn(abs, "_query_only=1"))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	s := &Sink{write: write, read: read, own: true}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dsn names a file and the settings of each connection to it.
func dsn(path, more string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	return u.String() + "?_busy_timeout=30000&_pragma=journal_mode(WAL)&_synchronous=NORMAL&_foreign_keys=1&" + more
}
