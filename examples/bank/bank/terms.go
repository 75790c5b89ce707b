package bank

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// Terms are what was agreed with the owner of an account. Of the zero Terms no
// transfer waits for approval or costs anything.
type Terms struct {
	// Limit: a transfer of more than this waits for approval; 0: none does.
	Limit int64 `json:"limit,omitempty"`
	// A transfer costs Flat, and of its amount Rate basis points, hundredths of a
	// percent, rounded half to even.
	Flat int64 `json:"flat,omitempty"`
	Rate int64 `json:"rate,omitempty"`
}

const wholeRate = 10_000 // basis points

func (t Terms) check() error {
	switch {
	case t.Limit < 0 || t.Flat < 0:
		return fmt.Errorf("%w: the limit %d or the fee %d is negative", ErrTerms, t.Limit, t.Flat)
	case t.Rate < 0 || t.Rate > wholeRate:
		return fmt.Errorf("%w: %d basis points: 0 to %d", ErrTerms, t.Rate, wholeRate)
	}
	return nil
}

// asks reports whether a transfer waits for approval.
func (t Terms) asks(amount int64) bool { return t.Limit > 0 && amount > t.Limit }

// fee returns what a transfer costs.
func (t Terms) fee(amount int64) int64 { return plus(t.Flat, share(amount, t.Rate, wholeRate)) }

// Agree changes the terms of an account, for transfers that are not debited yet.
// ErrTerms: they are no terms.
func Agree(tx *eventlog.Tx, id AccountID, t Terms) error {
	if err := t.check(); err != nil {
		return err
	}
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	if a.State == "" || a.State == Closed {
		return fmt.Errorf("%s: %w", id, a.active())
	}
	if a.Terms == t {
		return nil
	}
	return tx.Append(id.Stream(), TermsAgreed{t})
}
