package sagatest_test

import (
	"errors"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type Opened struct{}
type Posted struct{ Amount int64 }

func (Opened) EventType() string { return "bank.opened" }
func (Posted) EventType() string { return "bank.posted" }

type Account struct {
	Open    bool
	Balance int64
}

var account = eventlog.Model[Account]{Name: "account", Version: 1, Folds: eventlog.Folds[Account]{
	eventlog.On(func(a *Account, _ Opened) { a.Open = true }),
	eventlog.On(func(a *Account, e Posted) { a.Balance += e.Amount }),
}}

func post(tx *eventlog.Tx, stream string, amount int64) error {
	a, err := account.Load(tx, stream)
	switch {
	case err != nil:
		return err
	case !a.Open, a.Balance+amount < 0:
		return outbox.Abort(errors.New("refused"))
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
	Undo: func(tx *eventlog.Tx, t *Transfer) error { return post(tx, t.From, t.Amount) },
}, {
	Name: "credit",
	On:   func(t *Transfer) string { return t.To },
	Do:   func(tx *eventlog.Tx, t *Transfer) error { return post(tx, t.To, t.Amount) },
}}}
