package bank

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/rollforward/rollforward/eventlog"
)

// Books are what the whole log adds up to, told from the events alone: the
// measure for everything that is derived from them.
type Books struct {
	Accounts     map[AccountID]*Folio
	Transactions int
	Postings     int
	Problems     []string // money that came from nowhere

	legs map[string][]leg // postings of each transfer, in order
	now  moment
}

// A Folio is an account as a replay has it.
type Folio struct {
	Account
	Lines int         // of its statement
	Print Fingerprint // of its statement
}

// A Fingerprint tells two statements apart without keeping either.
type Fingerprint uint64

func (p Fingerprint) add(l Line) Fingerprint {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %q", p, []any{l.Version, l.Date, l.Transaction, l.Transfer, l.Description, l.Amount, l.Balance})
	return Fingerprint(h.Sum64())
}

// A leg is a posting of a transfer.
type leg struct {
	account AccountID
	amount  int64
}

// Replay folds the log from its first event to its last. progress, if not nil, is
// called now and then with the number of events so far.
func Replay(ctx context.Context, log *eventlog.Log, progress func(events int)) (*Books, error) {
	b := &Books{Accounts: make(map[AccountID]*Folio), legs: make(map[string][]leg)}
	events := 0
	for r, err := range log.Read(ctx, eventlog.Query{}) {
		if err == nil {
			err = b.add(r)
		}
		if err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
		if events++; progress != nil && events%1000 == 0 {
			progress(events)
		}
	}
	b.settle()
	b.checkAccounts()
	return b, nil
}

// add takes the next event. Events come in the order of time, and all of a
// transaction of the log have the same time: so its postings come together,
// whatever shards they lie in.
func (b *Books) add(r eventlog.Record) error {
	if !r.Time.Equal(b.now.time) {
		b.settle()
		b.now.time = r.Time
	}
	switch r.Type {
	case TransactionRecorded{}.EventType():
		var e TransactionRecorded
		if err := r.Decode(&e); err != nil {
			return err
		}
		if r.Version != 1 {
			b.problem("%s is claimed %d times", r.Stream, r.Version)
		}
		b.Transactions++
		b.now.recorded += e.Postings
		return nil
	case Posted{}.EventType():
		return b.post(r)
	}
	if f, _ := b.folio(r); f != nil {
		return f.fold(r)
	}
	return nil // not an account's
}

func (b *Books) post(r eventlog.Record) error {
	f, id := b.folio(r)
	if f == nil {
		return fmt.Errorf("%s holds a posting and is not an account", r.Stream)
	}
	var e Posted
	if err := r.Decode(&e); err != nil {
		return err
	}
	if err := f.fold(r); err != nil {
		return err
	}
	f.Lines++
	f.Print = f.Print.add(Line{Version: r.Version, Date: e.day(r), Transaction: e.Transaction, Transfer: e.Transfer,
		Description: e.Description, Amount: e.Amount, Balance: f.Balance})
	b.Postings++
	if e.Transfer != "" {
		b.legs[e.Transfer] = append(b.legs[e.Transfer], leg{id, e.Amount})
		return nil
	}
	b.now.post(e, id.Currency)
	return nil
}

// folio returns the account that an event belongs to, nil if to none.
func (b *Books) folio(r eventlog.Record) (*Folio, AccountID) {
	id, ok := ParseStream(r.Stream)
	if !ok {
		return nil, id
	}
	f := b.Accounts[id]
	if f == nil {
		f = new(Folio)
		b.Accounts[id] = f
	}
	return f, id
}

func (f *Folio) fold(r eventlog.Record) error {
	return Accounts.Fold(&f.Account, func(yield func(eventlog.Record, error) bool) { yield(r, nil) })
}

// checkAccounts holds every account against its rules.
func (b *Books) checkAccounts() {
	for id, f := range b.Accounts {
		switch {
		case f.State == "":
			b.problem("%s was never opened", id)
		case f.Kind == Customer && f.Balance < 0:
			b.problem("%s is overdrawn: %d", id, f.Balance)
		}
	}
}

func (b *Books) problem(format string, args ...any) {
	b.Problems = append(b.Problems, fmt.Sprintf(format, args...))
}
