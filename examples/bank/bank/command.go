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
	case kind == Customer && id == Cash(id.Currency):
		return fmt.Errorf("%w: the account %s is the bank's own", ErrName, id)
	}
	return tx.Append(id.Stream(), AccountOpened{Kind: kind})
}

// Freeze stops an account: until Thaw no money comes in or goes out.
func Freeze(tx *eventlog.Tx, id AccountID) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	if err := a.active(); err != nil {
		return fmt.Errorf("%s: %w", id, err)
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

// Close ends an account for ever. It must be empty.
func Close(tx *eventlog.Tx, id AccountID) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	if err := a.active(); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if a.Balance != 0 {
		return fmt.Errorf("%s: %w: the balance is %d", id, ErrNotEmpty, a.Balance)
	}
	return tx.Append(id.Stream(), AccountClosed{})
}

// Deposit brings cash to an account.
func Deposit(tx *eventlog.Tx, id AccountID, amount int64, description string) error {
	return move(tx, Cash(id.Currency), id, amount, description)
}

// Withdraw takes cash from an account.
func Withdraw(tx *eventlog.Tx, id AccountID, amount int64, description string) error {
	return move(tx, id, Cash(id.Currency), amount, description)
}

// move posts both sides in one commit, in whatever shards they lie. (A transfer
// between customers is a saga instead: it needs no commit over two shards, and
// it can wait, be refused half way and go back.)
func move(tx *eventlog.Tx, from, to AccountID, amount int64, description string) error {
	if amount <= 0 {
		return fmt.Errorf("%w: %d", ErrAmount, amount)
	}
	if from == to {
		return fmt.Errorf("%s: %w", from, ErrSameAccount)
	}
	for _, side := range []struct {
		id     AccountID
		amount int64
	}{{from, -amount}, {to, amount}} {
		post := post
		if side.id == Cash(from.Currency) {
			post = postToBooks
		}
		if err := post(tx, side.id, Posted{Amount: side.amount, Description: description}); err != nil {
			return err
		}
	}
	return nil
}

// post adds a posting to an account, if the account takes it.
func post(tx *eventlog.Tx, id AccountID, p Posted) error {
	a, err := load(tx, id)
	if err != nil {
		return err
	}
	return a.post(tx, id, p)
}

// postToBooks is post for the books, whose accounts are opened on first use.
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
