package projection_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

type Opened struct{ Owner string }
type Posted struct{ Amount int64 }
type Closed struct{}

func (Opened) EventType() string { return "bank.opened" }
func (Posted) EventType() string { return "bank.posted" }
func (Closed) EventType() string { return "bank.closed" }

// tables of the read model: one row for each event, without a key, so that an
// event that took effect twice or in the wrong order shows; and sums.
var tables = sqlsink.Schema(
	`drop table if exists statement`,
	`drop table if exists balance`,
	`create table statement (account text, version integer, amount integer not null, after integer not null)`,
	`create table balance (account text, owner text not null, cents integer not null)`,
)

// bank is a projection whose rows depend on the order of a stream's events.
func bank() sqlsink.Projection {
	return sqlsink.Projection{Name: "bank", Version: 1, Reset: tables, Handlers: sqlsink.Handlers{
		projection.On(func(tx *sql.Tx, r eventlog.Record, e Opened) error {
			_, err := tx.Exec(`insert into balance values ($1, $2, 0)`, r.Stream, e.Owner)
			return err
		}),
		projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
			var after int64
			err := tx.QueryRow(`update balance set cents = cents + $1 where account = $2 returning cents`, e.Amount, r.Stream).Scan(&after)
			if err == nil {
				_, err = tx.Exec(`insert into statement values ($1, $2, $3, $4)`, r.Stream, r.Version, e.Amount, after)
			}
			return err
		}),
	}}
}

func openSink(t testing.TB, path string) *sqlsink.Sink {
	t.Helper()
	s, err := sqlsink.OpenSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newSink(t testing.TB) *sqlsink.Sink {
	return openSink(t, filepath.Join(t.TempDir(), "read.db"))
}

// dump returns every row of the read model, in order.
func dump(t testing.TB, s *sqlsink.Sink) string {
	t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`select account, owner, cents, '' from balance order by 1`,
		`select account, version, amount, after from statement order by 1, 2`,
	} {
		rows, err := s.DB().Query(q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var c [4]string
			if err := rows.Scan(&c[0], &c[1], &c[2], &c[3]); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, strings.Join(c[:], " "))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return b.String()
}

func appendTo(t testing.TB, l *eventlog.Log, stream string, events ...eventlog.Event) eventlog.Position {
	t.Helper()
	p, err := l.Append(context.Background(), stream, nil, events...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newLog returns a log that the test closes itself.
func newLog(t testing.TB) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), memlog.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
