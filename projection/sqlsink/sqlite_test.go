package sqlsink_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func open(t *testing.T, path string) *sqlsink.Sink {
	t.Helper()
	s, err := sqlsink.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // also when the test has closed it
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// write runs statements through a connection of its own.
func write(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestOpenSQLiteNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "a b.db", "what?.db", "50%25#1.db", "ö&x=y.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q: the file has another name: %v", name, err)
		}
	}
}

func TestOpenSQLiteRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := sqlsink.OpenSQLite(t.Context(), filepath.Join(dir, "missing", "read.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlsink.OpenSQLite(t.Context(), text); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("a text file: %v", err)
	}
	newer := filepath.Join(dir, "newer.db")
	open(t, newer)
	write(t, newer, `update rollforward_format set format = 2`)
	if _, err := sqlsink.OpenSQLite(t.Context(), newer); !errors.Is(err, sqlsink.ErrFormat) {
		t.Errorf("a newer format: %v", err)
	}
}

// Processes that start at the same time may all be the first to open the file.
func TestOpenSQLiteAtOnce(t *testing.T) {
	t.Parallel()
	for range 10 {
		path := filepath.Join(t.TempDir(), "read.db")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := sqlsink.OpenSQLite(t.Context(), path)
				if err == nil {
					err = s.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestDBIsForReading(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "read.db"))
	if _, err := s.DB().Exec(`update rollforward_format set format = 9`); err == nil {
		t.Error("DB took an update")
	}
}

// Readers see the last committed state while a transaction is open, and do not
// wait for it.
func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	s := store(t, filepath.Join(t.TempDir(), "read.db"))
	reset := projection.Reset{Name: "x", Version: 1, Shards: 1}
	err := s.Sink.Reset(t.Context(), reset, func(tx *sql.Tx) error {
		if err := s.Add(tx, "a", 1); err != nil {
			return err
		}
		rows, err := s.Rows(t.Context())
		if len(rows) != 0 {
			t.Errorf("a reader sees %v before it is committed", rows)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := s.Rows(t.Context()); err != nil || rows["a"] != 1 {
		t.Errorf("rows %v, %v", rows, err)
	}
}

func TestNewLeavesDBOpen(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "own.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := sqlsink.New(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if s.DB() != db {
		t.Error("DB is another database")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Ping(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestSchemaNamesTheStatement(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "read.db"))
	err := s.Reset(t.Context(), projection.Reset{Name: "x", Version: 1, Shards: 1},
		sqlsink.Schema(`create table a (b)`, `create nonsense`))
	if err == nil || !strings.Contains(err.Error(), "create nonsense") {
		t.Errorf("error %v", err)
	}
	if state, err := s.State(t.Context(), "x"); err != nil || state.Version != 0 {
		t.Errorf("after a failed reset: %+v, %v", state, err)
	}
}
