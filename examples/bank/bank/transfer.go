package bank

import (
	"errors"
	"fmt"
	"math"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// Transfer moves money from one account to another. It is the input of a saga,
// and what its steps share.
type Transfer struct {
	ID       string `json:"id"`
	From     string `json:"from"` // names of accounts
	To       string `json:"to"`
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"` // minor units
}

func (t *Transfer) from() AccountID { return AccountID{t.From, t.Currency} }
func (t *Transfer) to() AccountID   { return AccountID{t.To, t.Currency} }

// Transfers is the saga: debit, then credit. Each step changes one account in a
// transaction of its own, so no account waits for another, wherever they lie.
// When the credit is refused, because the account is closed or frozen, the debit
// is undone. The saga ends as completed or as compensated, never in between,
// whatever crashes meanwhile.
var Transfers = saga.Saga[Transfer]{Name: "transfer", Version: 1, Steps: saga.Steps[Transfer]{{
	Name: "debit",
	On:   func(t *Transfer) string { return t.from().Stream() },
	Do: func(tx *eventlog.Tx, t *Transfer) error {
		return final(post(tx, t.from(), Posted{Amount: -t.Amount, Transfer: t.ID, Description: "transfer to " + t.To}))
	},
	Undo: refund,
}, {
	Name: "credit",
	On:   func(t *Transfer) string { return t.to().Stream() },
	Do: func(tx *eventlog.Tx, t *Transfer) error {
		return final(post(tx, t.to(), Posted{Amount: t.Amount, Transfer: t.ID, Description: "transfer from " + t.From}))
	},
}}}

// Handlers returns what an outbox.Runner needs to run the bank's sagas.
func Handlers() []outbox.Handler { return Transfers.Handlers() }

// Start starts the transfer with the transaction. From its commit on the transfer
// is promised: it ends as completed or refunded even if this process does not
// live to see it. Started again with the same content nothing happens; with
// other content under the same id it is refused with eventlog.ErrIDReused.
func (t Transfer) Start(tx *eventlog.Tx) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("transfer %s: %w", t.ID, err)
	}
	return Transfers.Start(tx, t.ID, t)
}

func (t *Transfer) check() error {
	if t.Amount <= 0 {
		return fmt.Errorf("%w: %d", ErrAmount, t.Amount)
	}
	if t.From == t.To {
		return fmt.Errorf("%s: %w", t.from(), ErrSameAccount)
	}
	return errors.Join(checkText("id", t.ID), t.from().check(), t.to().check())
}

// final tells the saga to go back when the bank refuses a step. Anything else is
// tried again.
func final(err error) error {
	if Refused(err) {
		return outbox.Abort(err)
	}
	return err
}

// refund gives the money back. It asks nobody: the account may be frozen or even
// closed by now, the money belongs to its owner all the same.
func refund(tx *eventlog.Tx, t *Transfer) error {
	a, err := load(tx, t.from())
	if err != nil {
		return err
	}
	if a.Balance > math.MaxInt64-t.Amount {
		return fmt.Errorf("%s: %w", t.from(), ErrOverflow) // tried again until there is room
	}
	return tx.Append(t.from().Stream(), Posted{Amount: t.Amount, Transfer: t.ID, Description: "refund of the transfer to " + t.To})
}
