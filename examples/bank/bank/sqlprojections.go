package bank

import (
	"database/sql"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// Projections returns the bank's read models in SQL; DatastoreProjections are the same. Every row depends on the events of
// one account alone, so it makes no difference in which order those of
// different accounts arrive: built live or anew, the tables are the same.
func Projections() []sqlsink.Projection { return []sqlsink.Projection{balances, statements} }

// balances keeps one row an account.
var balances = sqlsink.Projection{
	Name: balancesName, Version: 1,
	Reset: sqlsink.Schema(`drop table if exists balance`, `
		create table balance (
			account       text    not null,
			currency      text    not null,
			kind          text    not null,
			state         text    not null,
			balance_cents integer not null default 0,
			primary key (account, currency)
		) without rowid`),
	Handlers: sqlsink.Handlers{
		projection.On(func(tx *sql.Tx, r eventlog.Record, e AccountOpened) error {
			return exec(tx, r, `insert into balance (account, currency, kind, state) values ($1, $2, $3, $4)`, e.Kind, Opened)
		}),
		projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
			return exec(tx, r, `update balance set balance_cents = balance_cents + $3 where account = $1 and currency = $2`, e.Amount)
		}),
		projection.On(func(tx *sql.Tx, r eventlog.Record, _ AccountFrozen) error { return setState(tx, r, Frozen) }),
		projection.On(func(tx *sql.Tx, r eventlog.Record, _ AccountThawed) error { return setState(tx, r, Opened) }),
		projection.On(func(tx *sql.Tx, r eventlog.Record, _ AccountClosed) error { return setState(tx, r, Closed) }),
	},
}

func setState(tx *sql.Tx, r eventlog.Record, s State) error {
	return exec(tx, r, `update balance set state = $3 where account = $1 and currency = $2`, s)
}

// statements keeps one row a posting, with the balance behind it.
var statements = sqlsink.Projection{
	Name: statementsName, Version: 2,
	Reset: sqlsink.Schema(`drop table if exists posting`, `
		create table posting (
			account        text    not null,
			currency       text    not null,
			version        integer not null, -- of the account's stream
			date           text    not null,
			transaction_id text    not null, -- of imported books
			saga           text    not null,
			description    text    not null,
			amount_cents   integer not null,
			balance_cents  integer not null,
			primary key (account, currency, version)
		) without rowid`),
	Handlers: sqlsink.Handlers{
		projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
			return exec(tx, r, `
				insert into posting select $1, $2, $3, $4, $5, $6, $7, $8, $8 + coalesce(
					(select balance_cents from posting where account = $1 and currency = $2 order by version desc limit 1), 0)`,
				r.Version, e.day(r), e.Transaction, e.Saga, e.Description, e.Amount)
		}),
	},
}

// exec runs a statement whose first two arguments are account and currency. It
// must change one row: a read model that disagrees with the log stops rather
// than goes on.
func exec(tx *sql.Tx, r eventlog.Record, statement string, args ...any) error {
	id, ok := ParseStream(r.Stream)
	if !ok {
		return fmt.Errorf("%s is not the stream of an account", r.Stream)
	}
	res, err := tx.Exec(statement, append([]any{id.Name, id.Currency}, args...)...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows of %s changed, want 1", n, id)
	}
	return err
}

// day is the posting's own date, or that of its commit.
func (e Posted) day(r eventlog.Record) Date {
	if e.Date != "" {
		return e.Date
	}
	return DateOf(r.Time)
}
