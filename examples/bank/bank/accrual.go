package bank

import (
	"maps"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// Accrual is the interest of a month on one account, a child of InterestRuns.
type Accrual struct {
	Account  string `json:"account"` // as in the name of its stream
	Currency string `json:"currency"`
	Month    Month  `json:"month"`
	Rate     int64  `json:"rate"`

	Amount  int64  `json:"amount"`            // that was posted
	Refused string `json:"refused,omitempty"` // why it was not
}

func (a *Accrual) stream() string { return AccountID{Currency: a.Currency}.Stream() + a.Account }
func (a *Accrual) ref() string {
	return "interest/" + string(a.Month) + "/" + escape(a.Currency) + "/" + a.Account
}

// Accruals is the saga: one step, which posts the interest and its counterpart in
// one commit. It has no refusal: an account that takes no money is passed over, so
// that it does not keep the others from theirs.
var Accruals = saga.Saga[Accrual]{Name: "accrual", Version: 1, Steps: saga.Steps[Accrual]{{
	Name:   "post",
	On:     (*Accrual).stream,
	Do:     accrue,
	Undo:   takeBack,
	Policy: patient,
}}}

func accrue(tx *eventlog.Tx, a *Accrual) error {
	id, ok := ParseStream(a.stream())
	if !ok || id.Stream() != a.stream() {
		return nil // it is no account's
	}
	account, err := load(tx, id)
	if err != nil || account.Kind != Customer {
		return err // the books get no interest
	}
	turnover, err := Turnovers.Load(tx, id.Stream())
	if err != nil {
		return err
	}
	amount := monthly(turnover.until(a.Month), a.Rate)
	if amount == 0 {
		return nil
	}
	err = tx.Savepoint(func() error {
		return move(tx, InterestPaid(a.Currency), id, Posted{Amount: amount, Saga: a.ref(), Description: "interest " + string(a.Month)})
	})
	if Refused(err) {
		a.Refused = err.Error()
		return nil
	}
	a.Amount = amount
	return err
}

// takeBack reverses the posting. From an account that has spent the money it cannot:
// then somebody has to look.
func takeBack(tx *eventlog.Tx, a *Accrual) error {
	if a.Amount == 0 {
		return nil
	}
	id, _ := ParseStream(a.stream())
	return final(move(tx, id, InterestPaid(a.Currency), Posted{Amount: a.Amount, Saga: a.ref(), Description: "interest taken back"}))
}

// monthly returns a month's interest on a balance.
func monthly(balance, rate int64) int64 {
	if balance <= 0 {
		return 0
	}
	return share(balance, rate, 12*wholeRate)
}

// Turnover is what was posted to an account, by the months of the dates.
type Turnover struct {
	Months map[Month]int64
}

// Clone returns a copy that shares nothing.
func (t Turnover) Clone() Turnover { return Turnover{maps.Clone(t.Months)} }

// Turnovers folds the stream of an account into its Turnover.
var Turnovers = eventlog.Model[Turnover]{Name: "turnover", Version: 1, Else: func(t *Turnover, r eventlog.Record) error {
	if r.Type != (Posted{}).EventType() {
		return nil
	}
	var e Posted
	if err := r.Decode(&e); err != nil {
		return err
	}
	if t.Months == nil {
		t.Months = make(map[Month]int64)
	}
	m := e.day(r).Month()
	t.Months[m] = plus(t.Months[m], e.Amount)
	return nil
}}

// until returns the balance at the end of a month.
func (t *Turnover) until(m Month) (balance int64) {
	for month, amount := range t.Months {
		if month <= m {
			balance = plus(balance, amount)
		}
	}
	return balance
}
