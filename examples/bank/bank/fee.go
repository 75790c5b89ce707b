package bank

import (
	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// Fee is what the payer pays for a transfer.
type Fee struct {
	Transfer string `json:"transfer"`
	Payer    string `json:"payer"`
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
}

func (f *Fee) payer() AccountID { return AccountID{f.Payer, f.Currency} }
func (f *Fee) ref() string      { return "fee/" + f.Transfer }

func (f *Fee) posting(amount int64, what string) Posted {
	return Posted{Amount: amount, Saga: f.ref(), Description: what + " of the transfer " + f.Transfer}
}

// Fees is a child of Transfers. When it is refused, because the payer has not got
// the money, the transfer is; and when the transfer goes back the fee goes back
// with it, also when it was completed: each step can be undone.
var Fees = saga.Saga[Fee]{Name: "fee", Version: 1, Steps: saga.Steps[Fee]{{
	Name: "charge",
	On:   func(f *Fee) string { return f.payer().Stream() },
	Do: func(tx *eventlog.Tx, f *Fee) error {
		return final(post(tx, f.payer(), f.posting(-f.Amount, "fee")))
	},
	Undo: func(tx *eventlog.Tx, f *Fee) error {
		return giveBack(tx, f.payer(), f.posting(f.Amount, "refund of the fee"))
	},
	Policy: patient,
}, {
	Name: "income",
	On:   func(f *Fee) string { return FeeIncome(f.Currency).Stream() },
	Do: func(tx *eventlog.Tx, f *Fee) error {
		return final(post(tx, FeeIncome(f.Currency), f.posting(f.Amount, "fee")))
	},
	Undo: func(tx *eventlog.Tx, f *Fee) error {
		return post(tx, FeeIncome(f.Currency), f.posting(-f.Amount, "refund of the fee"))
	},
	Policy: patient,
}}}
