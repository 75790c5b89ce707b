package bank

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// ReadModelFile returns where the read model of the log in dir is kept: inside
// of it, so that a log that is removed or replaced takes it along. It can be
// built again from the log at any time.
func ReadModelFile(dir string) string { return filepath.Join(dir, "readmodel.db") }

// ReadModel answers questions about accounts. It is as old as the last CatchUp.
type ReadModel struct {
	sink   *sqlsink.Sink
	runner *sqlsink.Runner
}

// OpenReadModel opens the SQLite file with the read model of log, and creates it
// where there is none.
func OpenReadModel(ctx context.Context, log *eventlog.Log, file string) (*ReadModel, error) {
	sink, err := sqlsink.OpenSQLite(ctx, file)
	if err != nil {
		return nil, err
	}
	return &ReadModel{sink, &sqlsink.Runner{Log: log, Sink: sink, Projections: Projections()}}, nil
}

// Close releases the file.
func (m *ReadModel) Close() error { return m.sink.Close() }

// Run keeps the read model up to date until ctx ends.
func (m *ReadModel) Run(ctx context.Context) error { return m.runner.Run(ctx) }

// CatchUp brings everything into the read model that the log holds now. One that
// was built from another log is built anew.
func (m *ReadModel) CatchUp(ctx context.Context) error {
	err := m.runner.CatchUp(ctx)
	if !errors.Is(err, projection.ErrOtherLog) {
		return err
	}
	for _, p := range m.runner.Projections {
		if err := m.runner.Rebuild(ctx, p.Name); err != nil {
			return err
		}
	}
	return nil
}

// Progress returns how many commits are in the read model, of how many in the
// log, over all shards and both projections.
func (m *ReadModel) Progress(ctx context.Context) (done, total int64, err error) {
	end, err := m.runner.Log.Position(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range m.runner.Projections {
		state, err := m.sink.State(ctx, p.Name)
		if err != nil {
			return 0, 0, err
		}
		at := state.Position()
		for shard := range m.runner.Log.Shards() {
			done += int64(at.Revision(shard))
			total += int64(end.Revision(shard))
		}
	}
	return done, total, nil
}

// Balance is an account as the read model has it.
type Balance struct {
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Kind     Kind   `json:"kind"`
	State    State  `json:"state"`
	Cents    int64  `json:"balance_cents"`
}

// ID names the account.
func (b Balance) ID() AccountID { return AccountID{b.Account, b.Currency} }

// Balances yields all accounts by name and currency, in bytewise order.
func (m *ReadModel) Balances(ctx context.Context) iter.Seq2[Balance, error] {
	return query(ctx, m.sink.DB(), func(rows *sql.Rows) (b Balance, err error) {
		err = rows.Scan(&b.Account, &b.Currency, &b.Kind, &b.State, &b.Cents)
		return b, err
	}, `select account, currency, kind, state, balance_cents from balance order by account, currency`)
}

// Line is a line of a statement.
type Line struct {
	Account     string `json:"account"`
	Currency    string `json:"currency"`
	Version     uint64 `json:"version"` // of the account's stream
	Date        Date   `json:"date"`
	Transaction string `json:"transaction,omitempty"`
	Saga        string `json:"saga,omitempty"`
	Description string `json:"description"`
	Amount      int64  `json:"amount_cents"`
	Balance     int64  `json:"balance_cents"` // behind it
}

// Statement yields what was posted to the accounts of a name, by currency and in
// order. ErrNoAccount: there is no account of that name.
func (m *ReadModel) Statement(ctx context.Context, name string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var n int
		err := m.sink.DB().QueryRowContext(ctx, `select count(*) from balance where account = $1`, name).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s: %w", name, ErrNoAccount)
		}
		if err != nil {
			yield(Line{}, err)
			return
		}
		query(ctx, m.sink.DB(), scanLine, `select `+lineColumns+`
			from posting where account = $1 order by currency, version`, name)(yield)
	}
}

// Lines yields the statements of all accounts, one after another.
func (m *ReadModel) Lines(ctx context.Context) iter.Seq2[Line, error] {
	return query(ctx, m.sink.DB(), scanLine, `select `+lineColumns+` from posting order by account, currency, version`)
}

const lineColumns = `account, currency, version, date, transaction_id, saga, description, amount_cents, balance_cents`

func scanLine(rows *sql.Rows) (l Line, err error) {
	err = rows.Scan(&l.Account, &l.Currency, &l.Version, &l.Date, &l.Transaction, &l.Saga, &l.Description, &l.Amount, &l.Balance)
	return l, err
}

// query yields what scan makes of each row.
func query[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), statement string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		rows, err := db.QueryContext(ctx, statement, args...)
		if err != nil {
			yield(*new(T), err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			if v, err := scan(rows); !yield(v, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(*new(T), err)
		}
	}
}
