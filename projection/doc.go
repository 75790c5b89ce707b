// Package projection keeps read models up to date with an event log.
//
// A Projection says what events do to a read model, through typed handlers that
// get the sink's own transaction. A Runner follows the log and commits the rows
// and the checkpoint, how far the projection has come, in one transaction of
// the sink: each event takes effect exactly once, also over crashes, lost
// answers and several runners on one sink.
//
//	var balances = sqlsink.Projection{
//		Name: "balances", Version: 1,
//		Reset: sqlsink.Schema(`drop table if exists balance`,
//			`create table balance (account text primary key, cents integer not null)`),
//		Handlers: sqlsink.Handlers{
//			projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
//				_, err := tx.Exec(`insert into balance values ($1, $2)
//					on conflict (account) do update set cents = cents + excluded.cents`, r.Stream, e.Amount)
//				return err
//			}),
//		},
//	}
//
//	runner := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{balances}}
//	err := runner.Run(ctx)
//
// Every shard of the log is followed on its own, in the order of its commits.
// So a handler sees the events of a stream in order, and those of streams in
// different shards in any order: rows that several streams write must not
// depend on it (sums, counts, rows of their own). Then what is built live and
// what is rebuilt from the first event are equal, byte for byte. A transaction
// over several shards takes effect shard by shard.
//
// A handler must depend on its arguments and on what it reads through tx, and
// must do nothing outside of tx: it runs again when the transaction is repeated.
// Package projectiontest finds those that do not keep to it.
package projection
