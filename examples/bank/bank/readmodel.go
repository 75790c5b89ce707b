package bank

import (
	"context"
	"errors"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
)

// ReadModel answers questions about accounts. It is as old as the last CatchUp. It is
// kept in an SQLite file (OpenReadModel) or in Datastore (NewDatastoreReadModel), with the
// same answers.
type ReadModel struct {
	log    *eventlog.Log
	runner runner
	state  func(ctx context.Context, name string) (projection.State, error) // of the sink
	tables tables
}

// A runner is a projection.Runner, whatever its sink's transaction is.
type runner interface {
	Run(ctx context.Context) error
	CatchUp(ctx context.Context, names ...string) error
	Rebuild(ctx context.Context, name string) error
}

// tables are how a store is asked; the methods of ReadModel say what they promise.
type tables interface {
	balances(ctx context.Context) iter.Seq2[Balance, error]
	statement(ctx context.Context, name string) iter.Seq2[Line, error]
	lines(ctx context.Context) iter.Seq2[Line, error]
	tidy(ctx context.Context) error // after a CatchUp
	close() error
}

// The names of the projections, the same in both stores.
const (
	balancesName   = "balances"
	statementsName = "statements"
)

// Close releases what was opened.
func (m *ReadModel) Close() error { return m.tables.close() }

// Run keeps the read model up to date until ctx ends.
func (m *ReadModel) Run(ctx context.Context) error { return m.runner.Run(ctx) }

// CatchUp brings everything into the read model that the log holds now. One that
// was built from another log is built anew.
func (m *ReadModel) CatchUp(ctx context.Context) error {
	err := m.runner.CatchUp(ctx)
	if errors.Is(err, projection.ErrOtherLog) {
		if err = m.runner.Rebuild(ctx, balancesName); err == nil {
			err = m.runner.Rebuild(ctx, statementsName)
		}
	}
	if err != nil {
		return err
	}
	return m.tables.tidy(ctx)
}

// Progress returns how many commits are in the read model, of how many in the
// log, over all shards and both projections.
func (m *ReadModel) Progress(ctx context.Context) (done, total int64, err error) {
	end, err := m.log.Position(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range []string{balancesName, statementsName} {
		state, err := m.state(ctx, name)
		if err != nil {
			return 0, 0, err
		}
		at := state.Position()
		for shard := range m.log.Shards() {
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
	return m.tables.balances(ctx)
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
	return m.tables.statement(ctx, name)
}

// Lines yields the statements of all accounts, one after another.
func (m *ReadModel) Lines(ctx context.Context) iter.Seq2[Line, error] { return m.tables.lines(ctx) }
