package bank

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// ReadModelFile returns where the read model of the log in dir is kept: inside
// of it, so that a log that is removed or replaced takes it along. It can be
// built again from the log at any time.
func ReadModelFile(dir string) string { return filepath.Join(dir, "readmodel.db") }

// OpenReadModel opens the SQLite file with the read model of log, and creates it
// where there is none.
func OpenReadModel(ctx context.Context, log *eventlog.Log, file string) (*ReadModel, error) {
	sink, err := sqlsink.OpenSQLite(ctx, file)
	if err != nil {
		return nil, err
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: Projections()}
	return &ReadModel{log, r, sink.State, sqlTables{sink}}, nil
}

type sqlTables struct{ sink *sqlsink.Sink }

func (r sqlTables) tidy(context.Context) error { return nil }

func (r sqlTables) close() error { return r.sink.Close() }

func (r sqlTables) balances(ctx context.Context) iter.Seq2[Balance, error] {
	return query(ctx, r.sink.DB(), func(rows *sql.Rows) (b Balance, err error) {
		err = rows.Scan(&b.Account, &b.Currency, &b.Kind, &b.State, &b.Cents)
		return b, err
	}, `select account, currency, kind, state, balance_cents from balance order by account, currency`)
}

func (r sqlTables) statement(ctx context.Context, name string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var n int
		err := r.sink.DB().QueryRowContext(ctx, `select count(*) from balance where account = $1`, name).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s: %w", name, ErrNoAccount)
		}
		if err != nil {
			yield(Line{}, err)
			return
		}
		query(ctx, r.sink.DB(), scanLine, `select `+lineColumns+`
			from posting where account = $1 order by currency, version`, name)(yield)
	}
}

func (r sqlTables) lines(ctx context.Context) iter.Seq2[Line, error] {
	return query(ctx, r.sink.DB(), scanLine, `select `+lineColumns+` from posting order by account, currency, version`)
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
