package projectiontest_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection/projectiontest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// TestRowTypes: what a test may write for what SQLite holds.
func TestRowTypes(t *testing.T) {
	t.Parallel()
	type name string
	when := time.Date(2026, 11, 22, 10, 20, 30, 0, time.FixedZone("", 3600))
	p := sqlsink.Projection{Name: "p", Version: 1,
		Reset: sqlsink.Schema(`drop table if exists item`, `create table item (i integer, r real, t text, b blob, n text, f boolean, d datetime)`,
			`insert into item values (7, 1.5, 'ä', x'00ff', null, 1, '2026-11-22 09:20:30')`),
		Else: func(*sql.Tx, eventlog.Record) error { return nil }}
	watch(func(t testing.TB) {
		projectiontest.Given(t, "a").When(p).
			Then(`select * from item`, projectiontest.Row{uint8(7), float32(1.5), name("ä"), []byte{0, 255}, nil, true, when})
	}).expect(t)
}
