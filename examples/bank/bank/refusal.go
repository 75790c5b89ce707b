package bank

import "errors"

// What the bank refuses. A refusal is a decision that rests on the state of the
// accounts: asking again without a change gets the same answer. Every other
// error is technical, and the same request may succeed later. Sagas need the
// difference: they go back after the first kind and try again after the second.
const (
	ErrNoAccount   refusal = "no such account"
	ErrExists      refusal = "the account exists"
	ErrFrozen      refusal = "the account is frozen"
	ErrNotFrozen   refusal = "the account is not frozen"
	ErrClosed      refusal = "the account is closed"
	ErrNotEmpty    refusal = "the account is not empty"
	ErrFunds       refusal = "insufficient funds"
	ErrAmount      refusal = "the amount is not positive"
	ErrOverflow    refusal = "the balance would exceed 64 bits"
	ErrSameAccount refusal = "both sides are the same account"
	ErrName        refusal = "invalid name"
	ErrUnbalanced  refusal = "the transaction does not balance"
	ErrTerms       refusal = "invalid terms"
	ErrDate        refusal = "invalid date"
	ErrNotApproved refusal = "the transfer was not approved"
	ErrNoOrder     refusal = "no such standing order"
	ErrCancelled   refusal = "the standing order is cancelled"
	ErrSchedule    refusal = "invalid schedule"
	ErrRate        refusal = "invalid rate"
	ErrAddress     refusal = "invalid address of a bank"
	ErrTurnedDown  refusal = "the other bank refuses the payment"
)

type refusal string

func (r refusal) Error() string { return string(r) }

// Refused reports whether err is a decision of the bank.
func Refused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}
