package bank

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// Books are what the whole log adds up to, told from the events alone: the
// measure for everything that is derived from them.
type Books struct {
	Accounts     map[AccountID]*Folio
	Orders       map[string]*Order // by stream
	Transactions int
	Postings     int
	Executions   int      // of standing orders
	Problems     []string // money that came from nowhere

	legs     map[string][]leg     // postings of each saga, in order
	terms    map[string]Terms     // of the payer of a transfer when it was debited
	bases    map[string]int64     // balance that interest was paid on
	executed map[string]*Transfer // that orders must have started
	end      time.Time            // of the last event
	now      moment
}

// A Folio is an account as a replay has it.
type Folio struct {
	Account
	Lines int         // of its statement
	Print Fingerprint // of its statement

	born     time.Time
	turnover Turnover
}

// A Fingerprint tells two statements apart without keeping either.
type Fingerprint uint64

func (p Fingerprint) add(l Line) Fingerprint {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %q", p, []any{l.Version, l.Date, l.Transaction, l.Saga, l.Description, l.Amount, l.Balance})
	return Fingerprint(h.Sum64())
}

// Replay folds the log from its first event to its last. progress, if not nil, is
// called now and then with the number of events so far.
func Replay(ctx context.Context, log *eventlog.Log, progress func(events int)) (*Books, error) {
	b := &Books{Accounts: make(map[AccountID]*Folio), Orders: make(map[string]*Order), legs: make(map[string][]leg),
		terms: make(map[string]Terms), bases: make(map[string]int64), executed: make(map[string]*Transfer)}
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
	b.end = r.Time
	switch r.Type {
	case TransactionRecorded{}.EventType():
		return b.record(r)
	case Posted{}.EventType():
		return b.post(r)
	}
	if f, _ := b.folio(r); f != nil {
		return f.fold(r)
	}
	if id, ok := parseOrder(r.Stream); ok {
		return b.order(id, r)
	}
	return nil
}

func (b *Books) record(r eventlog.Record) error {
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
	if e.Saga != "" {
		b.leg(&r, f, id, e)
	}
	if err := f.fold(r); err != nil {
		return err
	}
	f.Lines++
	f.Print = f.Print.add(Line{Version: r.Version, Date: e.day(r), Transaction: e.Transaction, Saga: e.Saga,
		Description: e.Description, Amount: e.Amount, Balance: f.Balance})
	b.Postings++
	if e.Saga == "" {
		b.now.post(e, id.Currency)
	}
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
		f = &Folio{born: r.Time}
		b.Accounts[id] = f
	}
	return f, id
}

func (f *Folio) fold(r eventlog.Record) error {
	one := func(yield func(eventlog.Record, error) bool) { yield(r, nil) }
	if err := Turnovers.Fold(&f.turnover, one); err != nil {
		return err
	}
	return Accounts.Fold(&f.Account, one)
}

// order takes an event of a standing order. Executions have to be those of its due
// dates, each once, none left out.
func (b *Books) order(id string, r eventlog.Record) error {
	o := b.Orders[r.Stream]
	if o == nil {
		o = new(Order)
		b.Orders[r.Stream] = o
	}
	if r.Type == (OrderExecuted{}).EventType() {
		var e OrderExecuted
		if err := r.Decode(&e); err != nil {
			return err
		}
		if o.State != Active || e.Due != o.Next() || e.Due.Time().After(r.Time) {
			b.problem("order %s, %s and due at %s, was executed for %s at %s", id, o.State, o.Next(), e.Due, r.Time)
		}
		t := o.Transfer(id, e.Due)
		b.executed[t.ID] = &t
		b.Executions++
	}
	return Orders.Fold(o, func(yield func(eventlog.Record, error) bool) { yield(r, nil) })
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
