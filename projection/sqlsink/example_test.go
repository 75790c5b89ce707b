package sqlsink_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func ExampleOpenSQLite() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	sink, err := sqlsink.OpenSQLite(ctx, filepath.Join(dir, "read.db"))
	if err != nil {
		log.Fatal(err)
	}
	events, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := errors.Join(events.Close(), sink.Close()); err != nil {
			log.Fatal(err)
		}
	}()
	if _, err := events.Append(ctx, "account/ada", nil, Posted{"2026-11-22", "salary", 300_000}, Posted{"2026-11-23", "rent", -90_000}); err != nil {
		log.Fatal(err)
	}
	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{{
		Name: "days", Version: 1,
		Reset: sqlsink.Schema(
			`drop table if exists day`,
			`create table day (date text primary key, cents integer not null)`,
		),
		Handlers: sqlsink.Handlers{
			projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
				_, err := tx.Exec(`insert into day values ($1, $2)
					on conflict (date) do update set cents = cents + excluded.cents`, e.Date, e.Amount)
				return err
			}),
		},
	}}}
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}
	rows, err := sink.DB().Query(`select date, cents from day order by date`)
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var date string
		var cents int64
		if err := rows.Scan(&date, &cents); err != nil {
			log.Fatal(err)
		}
		fmt.Println(date, cents)
	}
	// Output:
	// 2026-11-22 300000
	// 2026-11-23 -90000
}
