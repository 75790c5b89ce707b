// Package sqlsink keeps read models in an SQL database: rows and checkpoints
// commit in one transaction.
//
// It stands on database/sql; the driver is the user's. SQLite is what it is
// tested with, through modernc.org/sqlite, which needs no C compiler:
//
//	import _ "modernc.org/sqlite"
//
//	sink, err := sqlsink.OpenSQLite(ctx, "bank.readmodel.db")
//
// New takes any *sql.DB whose database knows $1 placeholders and "on
// conflict", as SQLite and PostgreSQL do.
//
// The sink's own tables are called rollforward_…; what they hold can be
// read with SQL too.
package sqlsink
