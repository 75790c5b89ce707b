package projectiontest_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/projectiontest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

type Deposited struct{ Cents int64 }

func (Deposited) EventType() string { return "example.deposited" }

var ErrNegative = errors.New("negative deposit")

// balances is the projection under test.
var balances = sqlsink.Projection{
	Name: "balances", Version: 1,
	Reset: sqlsink.Schema(
		`drop table if exists balance`,
		`create table balance (account text primary key, cents integer not null)`,
	),
	Handlers: sqlsink.Handlers{
		projection.On(func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
			if e.Cents < 0 {
				return ErrNegative
			}
			_, err := tx.Exec(`insert into balance values ($1, $2)
				on conflict (account) do update set cents = cents + excluded.cents`, r.Stream, e.Cents)
			return err
		}),
	},
}

func ExampleGiven() {
	test := func(t testing.TB) {
		projectiontest.Given(t, "account/ada", Deposited{500}, Deposited{250}).
			And("account/bob", Deposited{100}).
			When(balances).
			Then(`select account, cents from balance order by account`,
				projectiontest.Row{"account/ada", 750},
				projectiontest.Row{"account/bob", 100})

		projectiontest.Given(t, "account/ada", Deposited{-1}).
			When(balances).
			ThenError(ErrNegative)
	}
	fmt.Println("failures:", len(watch(test).failures)) // go test does this for you
	// Output: failures: 0
}
