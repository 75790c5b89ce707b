package bank

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// Kind says which rules an account follows.
type Kind string

const (
	Customer Kind = "customer" // its balance may not fall below zero
	Ledger   Kind = "ledger"   // books: income and equity are negative by nature
)

// State is where an account is in its life. The zero State means that nobody
// opened it.
type State string

const (
	Opened State = "open"
	Frozen State = "frozen" // takes and gives no money until it is thawed
	Closed State = "closed" // for ever
)

// Account is what the events of an account's stream add up to.
type Account struct {
	Kind    Kind
	State   State
	Balance int64 // minor units: cents of a currency that has them
	Terms   Terms
}

// Accounts folds the stream of an account into an Account.
var Accounts = eventlog.Model[Account]{Name: "account", Version: 2, Folds: eventlog.Folds[Account]{
	eventlog.On(func(a *Account, e AccountOpened) { a.Kind, a.State = e.Kind, Opened }),
	eventlog.On(func(a *Account, e Posted) { a.Balance += e.Amount }),
	eventlog.On(func(a *Account, e TermsAgreed) { a.Terms = e.Terms }),
	eventlog.On(func(a *Account, e AccountFrozen) { a.State = Frozen }),
	eventlog.On(func(a *Account, e AccountThawed) { a.State = Opened }),
	eventlog.On(func(a *Account, e AccountClosed) { a.State = Closed }),
}}

// accept decides whether the account takes a posting. It is the one place with
// the rules of money, and it is a pure function of the account's state.
func (a *Account) accept(amount int64) error {
	if err := a.active(); err != nil {
		return err
	}
	sum := a.Balance + amount
	switch {
	case amount > 0 && sum < a.Balance, amount < 0 && sum > a.Balance:
		return fmt.Errorf("%w: %d and %d do not fit", ErrOverflow, a.Balance, amount)
	case a.Kind == Customer && amount < 0 && sum < 0:
		return fmt.Errorf("%w: the balance is %d", ErrFunds, a.Balance)
	}
	return nil
}

// active refuses an account that takes part in nothing.
func (a *Account) active() error {
	switch a.State {
	case "":
		return ErrNoAccount
	case Frozen:
		return ErrFrozen
	case Closed:
		return ErrClosed
	}
	return nil
}
