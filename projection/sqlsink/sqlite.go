package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// OpenSQLite opens the SQLite file at path, and creates it where there is none,
// with the driver that is registered as "sqlite" (import modernc.org/sqlite).
//
// The file is in WAL mode: readers, in this process and others, see the last
// committed state and never wait for the writer nor make it wait. There is one
// writer at a time; others wait for it, for half a minute at most. A commit is
// not synced by itself: after a power loss the file is consistent, rows and
// checkpoints alike stand at an earlier commit, and the runner goes on from
// there.
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
	if _, err := os.Stat(filepath.Dir(abs)); err != nil {
		return nil, err // SQLite would say "unable to open" only
	}
	write, err := openCaching("sqlite", dsn(abs, "_txlock=immediate", "_journal_mode=WAL", "_synchronous=NORMAL"))
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
	if err := s.createFirst(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// createFirst is create where others may open the same new file at the same
// time: until it is in WAL mode SQLite refuses instead of waiting.
func (s *Sink) createFirst(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := s.create(ctx)
		if !isBusy(err) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// isBusy reports whether SQLite said SQLITE_BUSY.
func isBusy(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && e.Code()&0xff == 5
}

const patience = 30 * time.Second

// dsn names a file and the settings of each connection to it. WAL mode is a
// setting of the file: whoever writes sets it.
func dsn(path string, more ...string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	settings := append([]string{fmt.Sprintf("_busy_timeout=%d", patience.Milliseconds()), "_foreign_keys=1"}, more...)
	return u.String() + "?" + strings.Join(settings, "&")
}
