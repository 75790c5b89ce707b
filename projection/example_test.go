package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// Deposited and Noted are events of a user's program.
type Deposited struct{ Cents int64 }
type Noted struct{ Text string }

func (Deposited) EventType() string { return "example.deposited" }
func (Noted) EventType() string     { return "example.noted" }

// balances is a read model: a row an account.
var balances = sqlsink.Projection{
	Name: "balances", Version: 1,
	Reset: sqlsink.Schema(
		`drop table if exists balance`,
		`create table balance (account text primary key, cents integer not null)`,
	),
	Handlers: sqlsink.Handlers{
		projection.On(func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
			_, err := tx.Exec(`insert into balance values ($1, $2)
				on conflict (account) do update set cents = cents + excluded.cents`, r.Stream, e.Cents)
			return err
		}),
	},
}

// place opens an empty log and an empty sink.
func place(ctx context.Context) (*eventlog.Log, *sqlsink.Sink, func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	events, err := eventlog.Open(ctx, memlog.Open(), &eventlog.Options{Shards: 2})
	if err != nil {
		log.Fatal(err)
	}
	sink, err := sqlsink.OpenSQLite(ctx, filepath.Join(dir, "read.db"))
	if err != nil {
		log.Fatal(err)
	}
	return events, sink, func() {
		if err := errors.Join(sink.Close(), events.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

func Example() {
	ctx := context.Background()
	events, sink, leave := place(ctx)
	defer leave()
	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{balances}}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- runner.Run(ctx) }()

	position, err := events.Append(ctx, "account/ada", nil, Deposited{500}, Deposited{250})
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.WaitFor(ctx, position); err != nil { // read your own writes
		log.Fatal(err)
	}
	var cents int64
	if err := sink.DB().QueryRow(`select cents from balance where account = $1`, "account/ada").Scan(&cents); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ada has", cents)

	stop()
	fmt.Println("run:", <-done)
	// Output:
	// ada has 750
	// run: <nil>
}

func ExampleRunner_Rebuild() {
	ctx := context.Background()
	events, sink, leave := place(ctx)
	defer leave()
	if _, err := events.Append(ctx, "account/ada", nil, Deposited{500}); err != nil {
		log.Fatal(err)
	}
	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{balances}}
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}
	if err := runner.Rebuild(ctx, "balances"); err != nil {
		log.Fatal(err)
	}
	var rows, cents int64
	if err := sink.DB().QueryRow(`select count(*), sum(cents) from balance`).Scan(&rows, &cents); err != nil {
		log.Fatal(err)
	}
	fmt.Println(rows, "row,", cents, "cents")
	// Output:
	// 1 row, 500 cents
}

func ExampleStatus() {
	ctx := context.Background()
	events, sink, leave := place(ctx)
	defer leave()
	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{balances}}
	report := func() {
		list, err := runner.Status(ctx)
		if err != nil {
			log.Fatal(err)
		}
		for _, s := range list {
			handled, skipped, behind := uint64(0), uint64(0), uint64(0)
			for _, shard := range s.Shards {
				handled += shard.Handled
				skipped += shard.Skipped
				behind += shard.Events
			}
			fmt.Printf("%s: %d handled, %d skipped, %d behind, healthy: %v\n", s.Name, handled, skipped, behind, s.Healthy())
		}
	}
	if _, err := events.Append(ctx, "account/ada", nil, Deposited{500}, Noted{"a gift"}); err != nil {
		log.Fatal(err)
	}
	report()
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}
	report()
	// Output:
	// balances: 0 handled, 0 skipped, 2 behind, healthy: true
	// balances: 1 handled, 1 skipped, 0 behind, healthy: true
}

// A projection that must not miss a type refuses what it does not know.
func ExampleRefuse() {
	ctx := context.Background()
	events, sink, leave := place(ctx)
	defer leave()
	strict := balances
	strict.Else = projection.Refuse
	if _, err := events.Append(ctx, "account/ada", nil, Deposited{500}, Noted{"a gift"}); err != nil {
		log.Fatal(err)
	}
	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{strict}}
	err := runner.CatchUp(ctx)
	fmt.Println(errors.Is(err, eventlog.ErrUnknownType))
	// Output:
	// true
}

// A handler that returns an error stops its projection at that event.
func ExampleEventError() {
	ctx := context.Background()
	events, sink, leave := place(ctx)
	defer leave()
	careful := balances
	careful.Handlers = sqlsink.Handlers{projection.On(func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
		if e.Cents <= 0 {
			return fmt.Errorf("deposit of %d", e.Cents)
		}
		return nil
	})}
	if _, err := events.Append(ctx, "account/ada", nil, Deposited{500}, Deposited{-1}); err != nil {
		log.Fatal(err)
	}
	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{careful}, Attempts: 1}
	var refused *projection.EventError
	if errors.As(runner.CatchUp(ctx), &refused) {
		fmt.Printf("%s version %d: %v\n", refused.Record.Stream, refused.Record.Version, refused.Err)
	}
	// Output:
	// account/ada version 2: deposit of -1
}
