package saga_test

import (
	"errors"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// The bank of these tests.

type Opened struct{ Owner string }
type Posted struct{ Amount int64 }
type Closed struct{}

func (Opened) EventType() string { return "bank.opened" }
func (Posted) EventType() string { return "bank.posted" }
func (Closed) EventType() string { return "bank.closed" }

type Account struct {
	Balance int64
	Open    bool
}

var account = eventlog.Model[Account]{Name: "account", Version: 1, Folds: eventlog.Folds[Account]{
	eventlog.On(func(a *Account, _ Opened) { a.Open = true }),
	eventlog.On(func(a *Account, e Posted) { a.Balance += e.Amount }),
	eventlog.On(func(a *Account, _ Closed) { a.Open = false }),
}}

var (
	errFunds  = errors.New("no funds")
	errClosed = errors.New("account closed")
)

func post(tx *eventlog.Tx, stream string, amount int64) error {
	a, err := account.Load(tx, stream)
	switch {
	case err != nil:
		return err
	case !a.Open:
		return outbox.Abort(errClosed)
	case a.Balance+amount < 0:
		return outbox.Abort(errFunds)
	}
	return tx.Append(stream, Posted{amount})
}

type Transfer struct {
	From, To string
	Amount   int64
}

var transfer = saga.Saga[Transfer]{Name: "transfer", Version: 1, Steps: saga.Steps[Transfer]{{
	Name: "debit",
	On:   func(t *Transfer) string { return t.From },
	Do:   func(tx *eventlog.Tx, t *Transfer) error { return post(tx, t.From, -t.Amount) },
	Undo: func(tx *eventlog.Tx, t *Transfer) error { return tx.Append(t.From, Posted{t.Amount}) },
}, {
	Name: "credit",
	On:   func(t *Transfer) string { return t.To },
	Do:   func(tx *eventlog.Tx, t *Transfer) error { return post(tx, t.To, t.Amount) },
}}}
