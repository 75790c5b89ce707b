package bank

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
)

// Transaction is an entry of double-entry books: postings to any number of
// accounts that sum to zero in every currency.
type Transaction struct {
	ID       string
	Postings []Posting
	File     string // that it came from, for error messages; not stored
}

// Posting is one row of a Transaction.
type Posting struct {
	Account     AccountID
	Amount      int64
	Date        Date
	Description string
	Line        int // in the file it came from; not stored
}

// Hash identifies the content: two transactions with the same hash have the same
// postings in the same order.
func (t *Transaction) Hash() string {
	h := sha256.New()
	field := func(s string) { // with its length: no two lists of fields look alike
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	for _, p := range t.Postings {
		field(string(p.Date))
		field(p.Description)
		field(p.Account.Name)
		field(p.Account.Currency)
		field(fmt.Sprint(p.Amount))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Balance refuses a transaction that creates or destroys money. Sums are exact:
// amounts may be as large as they like.
func (t *Transaction) Balance() error {
	sums := make(map[string]*big.Int)
	for _, p := range t.Postings {
		sum := sums[p.Account.Currency]
		if sum == nil {
			sum = new(big.Int)
			sums[p.Account.Currency] = sum
		}
		sum.Add(sum, big.NewInt(p.Amount))
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		if sum := sums[currency]; sum.Sign() != 0 {
			return fmt.Errorf("%w: %s is off by %s", ErrUnbalanced, currency, sum)
		}
	}
	return nil
}

// Recorded is what the stream transaction/ID adds up to.
type Recorded struct {
	Hash string
}

// Transactions folds the stream of a transaction.
var Transactions = eventlog.Model[Recorded]{Name: "transaction", Version: 1, Folds: eventlog.Folds[Recorded]{
	eventlog.On(func(t *Recorded, e TransactionRecorded) { t.Hash = e.Hash }),
}}

const transactionStream = "transaction/"

func (t *Transaction) stream() string { return transactionStream + escape(t.ID) }

// Record posts a transaction to the books. Its accounts are opened on first use.
// It claims the stream transaction/ID in the same commit: recorded again it does
// nothing and returns false, with other content it is refused with
// eventlog.ErrIDReused.
//
// An error says which posting was refused; nothing is to be committed then, so
// a caller that wants to go on runs Record in a Savepoint.
func Record(tx *eventlog.Tx, t *Transaction) (recorded bool, err error) {
	stream, hash := t.stream(), t.Hash()
	earlier, err := Transactions.Load(tx, stream)
	switch {
	case err != nil:
		return false, t.refused(0, err)
	case earlier.Hash == hash:
		return false, nil
	case earlier.Hash != "":
		return false, t.refused(0, eventlog.ErrIDReused)
	}
	for i, p := range t.Postings {
		e := Posted{Amount: p.Amount, Transaction: t.ID, Date: p.Date, Description: p.Description}
		if err := postToBooks(tx, p.Account, e); err != nil {
			return false, t.refused(i, err)
		}
	}
	if err := tx.Append(stream, TransactionRecorded{Hash: hash, Postings: len(t.Postings)}); err != nil {
		return false, t.refused(0, err)
	}
	return true, nil
}

// located says where t stands, if err does not say so already.
func (t *Transaction) located(err error) error {
	if errors.As(err, new(*LineError)) {
		return err
	}
	return t.refused(0, err)
}

func (t *Transaction) refused(posting int, err error) error {
	return &LineError{File: t.File, Line: t.Postings[posting].Line, Err: fmt.Errorf("transaction %s: %w", t.ID, err)}
}

// size is about how many bytes of text the transaction holds.
func (t *Transaction) size() (n int) {
	for _, p := range t.Postings {
		n += len(t.ID) + len(p.Date) + len(p.Description) + len(p.Account.Name) + len(p.Account.Currency)
	}
	return n
}
