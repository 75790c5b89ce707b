package bank

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// The commands. Each takes the transaction first: a caller combines them freely
// and all of it happens at one moment or not at all. None reads a clock or has
// effects of its own, so the transaction may run them again.

// Open begins an account. ErrExists: it was opened before, and may be closed by
// now. ErrName: the name is no name, or a customer asks for the bank's own.
func Open(tx *eventlog.Tx, id AccountID, kind Kind) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	switch {
	case a.State != "":
		return fmt.Errorf("%s: %w", id, ErrExists)
	case kind == Customer && Own(id):
		return fmt.Errorf("%w: the account %s is the bank's own", ErrName, id)
	}
	return tx.Append(id.Stream(), AccountOpened{Kind: kind})
}

// Freeze stops an account: until Thaw no money comes in or goes out. ErrName: it
// is one of the bank's own.
func Freeze(tx *eventlog.Tx, id AccountID) error {
	if _, err := stoppable(tx, id); err != nil {
		return err
	}
	return tx.Append(id.Stream(), AccountFrozen{})
}

// Thaw ends a freeze.
func Thaw(tx *eventlog.Tx, id AccountID) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	if a.State != Frozen {
		return fmt.Errorf("%s: %w", id, ErrNotFrozen)
	}
	return tx.Append(id.Stream(), AccountThawed{})
}

// Close ends an account for ever. It must be empty. ErrName: it is one of the
// bank's own.
func Close(tx *eventlog.Tx, id AccountID) error {
	a, err := stoppable(tx, id)
	if err != nil {
		return err
	}
	if a.Balance != 0 {
		return fmt.Errorf("%s: %w: the balance is %d", id, ErrNotEmpty, a.Balance)
	}
	return tx.Append(id.Stream(), AccountClosed{})
}

// stoppable loads an account that may be frozen or closed.
func stoppable(tx *eventlog.Tx, id AccountID) (*Account, error) {
	a, err := load(tx, id)
	switch {
	case err != nil:
		return nil, err
	case Own(id):
		return nil, fmt.Errorf("%w: the account %s is the bank's own", ErrName, id)
	case a.active() != nil:
		return nil, fmt.Errorf("%s: %w", id, a.active())
	}
	return a, nil
}

// Deposit brings cash to an account. It counts from a date on, "" is today.
// ErrDate: the date lies in the future.
func Deposit(tx *eventlog.Tx, id AccountID, amount int64, from Date, description string) error {
	return cash(tx, Cash(id.Currency), id, amount, from, description)
}

// Withdraw takes cash from an account, see Deposit.
func Withdraw(tx *eventlog.Tx, id AccountID, amount int64, from Date, description string) error {
	return cash(tx, id, Cash(id.Currency), amount, from, description)
}

func cash(tx *eventlog.Tx, from, to AccountID, amount int64, day Date, description string) error {
	if today := DateOf(tx.Time()); day > today {
		return fmt.Errorf("%w: %s lies behind today, %s", ErrDate, day, today)
	}
	return move(tx, from, to, Posted{Amount: amount, Date: day, Description: description})
}

// move posts both sides in one commit, in whatever shards they lie. (A transfer
// between customers is a saga instead: it needs no commit over two shards, and
// it can wait, be refused half way and go back.)
func move(tx *eventlog.Tx, from, to AccountID, p Posted) error {
	if p.Amount <= 0 {
		return fmt.Errorf("%w: %d", ErrAmount, p.Amount)
	}
	if from == to {
		return fmt.Errorf("%s: %w", from, ErrSameAccount)
	}
	out, in := p, p
	out.Amount = -p.Amount
	if err := post(tx, from, out); err != nil {
		return err
	}
	return post(tx, to, in)
}

// post adds a posting to an account, if the account takes it. The bank's own are
// opened on first use.
func post(tx *eventlog.Tx, id AccountID, p Posted) error {
	if Own(id) {
		return postToBooks(tx, id, p)
	}
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	return a.post(tx, id, p)
}

// postToBooks is post for the books, whose accounts are all opened on first use.
func postToBooks(tx *eventlog.Tx, id AccountID, p Posted) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	if a.State == "" {
		a.Kind, a.State = Ledger, Opened
		if err := tx.Append(id.Stream(), AccountOpened{Kind: a.Kind}); err != nil {
			return err
		}
	}
	return a.post(tx, id, p)
}

func (a *Account) post(tx *eventlog.Tx, id AccountID, p Posted) error {
	if err := a.accept(p.Amount); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return tx.Append(id.Stream(), p)
}

// load returns the account as the transaction sees it. That it stays so until
// the commit is a condition of the transaction.
func load(tx *eventlog.Tx, id AccountID) (*Account, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	return Accounts.Load(tx, id.Stream())
}
