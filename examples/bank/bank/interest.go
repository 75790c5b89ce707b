package bank

import (
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// Interest is the interest of a month on all accounts of a currency. It is the
// input of a saga, and what came of it.
type Interest struct {
	Month    Month  `json:"month"`
	Currency string `json:"currency"`
	Rate     int64  `json:"rate"` // basis points a year

	Accounts int   `json:"accounts"` // that were looked at
	Paid     int   `json:"paid"`     // that got interest
	Refused  int   `json:"refused"`  // that would have, but are frozen, closed or full
	Sum      int64 `json:"sum"`      // of what was paid
}

// ID names the interest of a month and a currency: there is one.
func (i *Interest) ID() string { return string(i.Month) + "/" + i.Currency }

// InterestRuns is the saga: a child for each account, all at once, and their sum.
//
// A customer's account gets a twelfth of the year's rate of what was posted to it
// with a date up to the end of the month, rounded half to even to whole minor
// units. Nothing depends on when the saga runs, or on how often it is stopped and
// goes on; but what is posted later with an earlier date comes too late.
var InterestRuns = saga.Saga[Interest]{Name: "interest", Version: 1, Steps: saga.Steps[Interest]{{
	Name: "accounts",
	Keys: accountsOf,
	Child: saga.Run(&Accruals, func(i *Interest, key string) Accrual {
		return Accrual{Account: key, Currency: i.Currency, Month: i.Month, Rate: i.Rate}
	}, add),
}}}

// add counts an account.
func add(i *Interest, _ string, a Accrual) error {
	i.Accounts++
	if a.Refused != "" {
		i.Refused++
	}
	if a.Amount > 0 {
		i.Paid++
		i.Sum = plus(i.Sum, a.Amount)
	}
	return nil
}

// accountsOf lists the accounts of the currency by name: what is behind the
// currency in the names of their streams.
func accountsOf(tx *eventlog.Tx, i *Interest, after string, n int) (keys []string, err error) {
	prefix := AccountID{Currency: i.Currency}.Stream()
	for s, err := range tx.Log().StreamsAfter(tx.Context(), prefix, prefix+after) {
		if err != nil || len(keys) == n {
			return keys, err
		}
		keys = append(keys, strings.TrimPrefix(s.Stream, prefix))
	}
	return keys, nil
}

// Start starts the interest of a month with the transaction. Started again it does
// nothing; with another rate it is refused with eventlog.ErrIDReused. ErrDate: the
// month is not over.
func (i Interest) Start(tx *eventlog.Tx) error {
	err := checkText("currency", i.Currency)
	if err == nil {
		_, err = ParseMonth(string(i.Month))
	}
	switch {
	case err != nil:
	case i.Rate < 0 || i.Rate > wholeRate:
		err = fmt.Errorf("%w: %d basis points: 0 to %d", ErrRate, i.Rate, wholeRate)
	case tx.Time().Before(i.Month.End()):
		err = fmt.Errorf("%w: %s is not over", ErrDate, i.Month)
	}
	if err != nil {
		return fmt.Errorf("interest: %w", err)
	}
	return InterestRuns.Start(tx, i.ID(), Interest{Month: i.Month, Currency: i.Currency, Rate: i.Rate})
}
