// Quickstart appends two events, folds them into a state, runs a saga over two
// accounts, and projects all into a table. It is the code of the README.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	_ "modernc.org/sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

type Posted struct{ Cents int64 }

func (Posted) EventType() string { return "bank.posted" }

type Account struct{ Cents int64 }

var account = eventlog.Model[Account]{Name: "account", Version: 1, Folds: eventlog.Folds[Account]{
	eventlog.On(func(a *Account, e Posted) { a.Cents += e.Cents }),
}}

var balances = sqlsink.Projection{Name: "balances", Version: 1,
	Reset: sqlsink.Schema(`drop table if exists balance`, `create table balance (account text primary key, cents int)`),
	Handlers: sqlsink.Handlers{projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
		_, err := tx.Exec(`insert into balance values ($1, $2) on conflict do update set cents = cents + $2`, r.Stream, e.Cents)
		return err
	})}}

func main() {
	ctx, dir := context.Background(), must(os.MkdirTemp("", "quickstart"))
	l := must(eventlog.Open(ctx, must(pebblelog.Open(dir+"/log", nil)), nil))
	defer l.Close()

	must(l.Append(ctx, "account/ada", nil, Posted{100}))
	must(l.Update(ctx, func(tx *eventlog.Tx) error { // decide on the state, atomically
		a, err := account.Load(tx, "account/ada")
		if err != nil || a.Cents < 30 {
			return err
		}
		return tx.Append("account/ada", Posted{-30})
	}))

	transfers(ctx, l)

	sink := must(sqlsink.OpenSQLite(ctx, dir+"/readmodel.db"))
	runner := &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{balances}}
	if err := runner.CatchUp(ctx); err != nil { // a program that stays calls Run
		log.Fatal(err)
	}
	var cents int
	_ = sink.DB().QueryRow(`select cents from balance where account = 'account/ada'`).Scan(&cents)
	fmt.Println("ada has", cents)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
