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

	// What the debit found in the payer's terms, and what a person made of it.
	Fee      int64     `json:"fee,omitempty"`
	Asks     bool      `json:"asks,omitempty"` // for approval
	Decision *Decision `json:"decision,omitempty"`
}

func (t *Transfer) from() AccountID { return AccountID{t.From, t.Currency} }
func (t *Transfer) to() AccountID   { return AccountID{t.To, t.Currency} }
func (t *Transfer) ref() string     { return "transfer/" + t.ID }

// Transfers is the saga: debit, then credit. Each step changes one account in a
// transaction of its own, so no account waits for another, wherever they lie.
// When the credit is refused, because the account is closed or frozen, the debit
// is undone. The saga ends as completed or as compensated, never in between,
// whatever crashes meanwhile.
//
// Where the payer's terms say so a person has to approve, and a fee is charged,
// before the credit. The debit comes first of all: what was approved is there.
//
// Version 1 had debit and credit alone. Its instances go on as if they were of
// this one: what they have is what a transfer without limit and fee has.
var Transfers = saga.Saga[Transfer]{Name: "transfer", Version: 2, Migrations: []saga.Migration[Transfer]{{From: 1}}, Steps: saga.Steps[Transfer]{{
	Name: "debit",
	On:   func(t *Transfer) string { return t.from().Stream() },
	Do:   debit,
	Undo: func(tx *eventlog.Tx, t *Transfer) error {
		return giveBack(tx, t.from(), Posted{Amount: t.Amount, Saga: t.ref(), Description: "refund of the transfer to " + t.To})
	},
	Next:   (*Transfer).afterDebit,
	Routes: []string{"approval", "fee", "credit"},
	Policy: patient,
}, {
	Name:    "approval",
	Signal:  saga.On("decision", (*Transfer).decide),
	Timeout: ApprovalTime,
	Next:    (*Transfer).afterApproval,
	Routes:  []string{"fee", "credit"},
}, {
	Name: "fee",
	Child: saga.Run(&Fees, func(t *Transfer, _ string) Fee {
		return Fee{Transfer: t.ID, Payer: t.From, Currency: t.Currency, Amount: t.Fee}
	}, nil),
}, {
	Name: "credit",
	On:   func(t *Transfer) string { return t.to().Stream() },
	Do: func(tx *eventlog.Tx, t *Transfer) error {
		return final(post(tx, t.to(), Posted{Amount: t.Amount, Saga: t.ref(), Description: "transfer from " + t.From}))
	},
	Policy: patient,
}}}

// debit takes the money, and finds out what else the payer's terms ask for: in
// the same transaction, so that nobody changes them in between.
func debit(tx *eventlog.Tx, t *Transfer) error {
	a, err := load(tx, t.from())
	if err != nil {
		return final(err)
	}
	t.Fee, t.Asks = a.Terms.fee(t.Amount), a.Terms.asks(t.Amount)
	return final(a.post(tx, t.from(), Posted{Amount: -t.Amount, Saga: t.ref(), Description: "transfer to " + t.To}))
}

func (t *Transfer) afterDebit() string {
	if t.Asks {
		return "approval"
	}
	return t.afterApproval()
}

func (t *Transfer) afterApproval() string {
	if t.Fee > 0 {
		return "fee"
	}
	return "credit"
}

// Start starts the transfer with the transaction. From its commit on the transfer
// is promised: it ends as completed or refunded even if this process does not
// live to see it. Started again with the same content nothing happens; with
// other content under the same id it is refused with eventlog.ErrIDReused.
func (t Transfer) Start(tx *eventlog.Tx) error {
	err := t.check()
	if err == nil && isOrderTransfer(t.ID) {
		err = fmt.Errorf("%w: ids that begin with %s are those of standing orders", ErrName, orderStream)
	}
	if err != nil {
		return fmt.Errorf("transfer %s: %w", t.ID, err)
	}
	t.Fee, t.Asks, t.Decision = 0, false, nil
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

// patient is the policy of what has to happen: whatever fails for technical reasons
// is tried until it succeeds.
var patient = outbox.Policy{Attempts: -1}

// final tells a saga to go back when the bank refuses a step. Anything else is
// tried again.
func final(err error) error {
	if Refused(err) {
		return outbox.Abort(err)
	}
	return err
}

// giveBack posts money that was taken. It asks nobody: the account may be frozen
// or even closed by now, the money belongs to its owner all the same.
func giveBack(tx *eventlog.Tx, id AccountID, p Posted) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	if a.Balance > math.MaxInt64-p.Amount {
		return fmt.Errorf("%s: %w", id, ErrOverflow) // tried again until there is room
	}
	return tx.Append(id.Stream(), p)
}
