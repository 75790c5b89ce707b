package projectiontest_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// TestWays: what is wrong with a projection shows without a Then, in the way
// that is made for it.
func TestWays(t *testing.T) {
	t.Parallel()
	insert := func(tx *sql.Tx, a, b any) error {
		_, err := tx.Exec(`insert into item values ($1, $2)`, a, b)
		return err
	}
	for name, c := range map[string]struct {
		projection func() sqlsink.Projection
		says       []string
	}{
		"memory over a repetition": {func() sqlsink.Projection {
			seen := make(map[eventlog.ID]bool)
			return handler(table, func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				again := seen[r.ID]
				seen[r.ID] = true
				return insert(tx, r.Stream, again)
			})
		}, []string{"with every transaction repeated, differ"}},
		"an order over shards": {func() sqlsink.Projection {
			return handler(table, func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				_, err := tx.Exec(`insert into item select $1, count(*) from item`, r.ID.String())
				return err
			})
		}, []string{"with the shards in another order, differ"}},
		"an order over shards that is demanded": {func() sqlsink.Projection {
			return handler(table, func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				var n int
				if err := tx.QueryRow(`select count(*) from item`).Scan(&n); err != nil {
					return err
				}
				if n == 0 && (r.Stream != "account/0" || r.Version != 1) {
					return errors.New("account/0 must be first")
				}
				return insert(tx, r.Stream, e.Cents)
			})
		}, []string{"when: live: <nil>; with the shards in another order: ", "must be first"}},
		"a table that Reset forgets": {func() sqlsink.Projection {
			p := handler(sqlsink.Schema(`create table if not exists item (a, b)`), func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				return insert(tx, r.Stream, e.Cents)
			})
			return p
		}, []string{"rebuilt, differ"}},
		"a Reset that works once": {func() sqlsink.Projection {
			return handler(sqlsink.Schema(`create table item (a, b)`), func(*sql.Tx, eventlog.Record, Deposited) error { return nil })
		}, []string{"when: live: <nil>; rebuilt: ", "already exists"}},
		"the time of the run": {func() sqlsink.Projection {
			return handler(table, func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				return insert(tx, r.Stream, time.Now().UnixNano())
			})
		}, []string{"in two halves, differ", "repeated, differ", "in another order, differ", "rebuilt, differ"}},
		"memory over a restart": {func() sqlsink.Projection {
			return handler(table, oncePerProcess())
		}, []string{"differ"}},
		"types that look alike": {func() sqlsink.Projection {
			n := 0
			return handler(table, func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				n++
				if n%2 == 0 {
					return insert(tx, "1", nil)
				}
				return insert(tx, 1, "NULL")
			})
		}, []string{"differ"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watch(func(t testing.TB) { given(t).When(c.projection()) }).expect(t, c.says...)
		})
	}
}

// oncePerProcess writes a row for the first event that the program sees.
func oncePerProcess() func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
	done := false
	return func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
		if done {
			return nil
		}
		done = true
		_, err := tx.Exec(`insert into item values (1, 1)`)
		return err
	}
}
