package sqlsink_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/rollforward/rollforward/projection"
)

// inTx runs fn in a transaction of the sink, on the connection that keeps
// statements.
func inTx(t *testing.T, path string, fn func(tx *sql.Tx) error) {
	t.Helper()
	s := store(t, path)
	if err := s.Sink.Reset(t.Context(), projection.Reset{Name: "x", Version: 1, Shards: 1}, fn); err != nil {
		t.Fatal(err)
	}
}

func number(tx *sql.Tx, query string, args ...any) (n int, err error) {
	err = tx.QueryRow(query, args...).Scan(&n)
	return n, err
}

// A statement whose rows are being read may be run again meanwhile.
func TestStatementNested(t *testing.T) {
	t.Parallel()
	inTx(t, filepath.Join(t.TempDir(), "read.db"), func(tx *sql.Tx) error {
		for i := range 3 {
			if _, err := tx.Exec(`insert into item (key, n) values ($1, $2)`, fmt.Sprint(i), i); err != nil {
				return err
			}
		}
		const query = `select n from item where n >= $1 order by n`
		outer, err := tx.Query(query, 0)
		if err != nil {
			return err
		}
		defer outer.Close()
		for want := range 3 {
			if !outer.Next() {
				t.Fatalf("row %d is missing: %v", want, outer.Err())
			}
			var n int
			if err := outer.Scan(&n); err != nil {
				return err
			}
			if inner, err := number(tx, query, 2); err != nil || inner != 2 || n != want {
				t.Errorf("outer %d, want %d; inner %d, want 2: %v", n, want, inner, err)
			}
		}
		return outer.Close()
	})
}

// A kept statement sees what happened to its table, and works again after it
// failed.
func TestStatementOutlives(t *testing.T) {
	t.Parallel()
	inTx(t, filepath.Join(t.TempDir(), "read.db"), func(tx *sql.Tx) error {
		const insert, count = `insert into item (key, n) values ($1, $2)`, `select count(*) from item where n < $1`
		for round := range 3 {
			if _, err := tx.Exec(insert, "a", round); err != nil {
				return err
			}
			if _, err := tx.Exec(insert, "a", round); err == nil {
				t.Error("a key was taken twice")
			}
			if n, err := number(tx, count, 100); err != nil || n != 1 {
				t.Errorf("round %d: %d rows, want 1: %v", round, n, err)
			}
			for _, s := range []string{`drop table item`, `create table item (extra text, n integer, key text primary key)`} {
				if _, err := tx.Exec(s); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// The same when another connection, as that of another process, makes the table
// anew between two transactions.
func TestStatementOutlivesOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "read.db")
	s := store(t, path)
	for held := range 3 {
		reset := projection.Reset{Name: "x", Held: held, Version: held + 1, Shards: 1}
		if err := s.Sink.Reset(t.Context(), reset, func(tx *sql.Tx) error { return s.Add(tx, "a", 1) }); err != nil {
			t.Fatal(err)
		}
		if rows, err := s.Rows(t.Context()); err != nil || len(rows) != 1 || rows["a"] != 1 {
			t.Errorf("round %d: rows %v, %v", held, rows, err)
		}
		write(t, path, `drop table item`, `create table item (n integer default 7, key text primary key)`)
	}
}

// More statements than are kept work too.
func TestStatementsMany(t *testing.T) {
	t.Parallel()
	inTx(t, filepath.Join(t.TempDir(), "read.db"), func(tx *sql.Tx) error {
		for range 2 {
			for i := range 300 {
				if n, err := number(tx, fmt.Sprintf(`select %d + $1`, i), 1); err != nil || n != i+1 {
					t.Fatalf("%d: %d, %v", i, n, err)
				}
			}
		}
		return nil
	})
}
