package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

// books imports a ledger.
func (d *demonstration) books(ctx context.Context) error {
	d.title("Books")
	begin := time.Now()
	done, err := bank.Import(ctx, d.log, d.given.file, strings.NewReader(d.given.rows), nil)
	if err != nil {
		return err
	}
	d.say("%s: %s transactions with %s postings recorded in %v,", d.given.what,
		cli.Count(int64(done.Recorded)), cli.Count(int64(done.Postings)), time.Since(begin).Round(time.Millisecond))
	d.say("each at one moment over all its accounts, in whatever shards they lie")
	return nil
}

const (
	demoCurrency = "EUR"
	demoBalance  = 1000_00
)

var customers = []string{"ada", "bob", "carol", "dave", "eve", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj"}

// demoTerms are those of customers who have any.
var demoTerms = map[string]bank.Terms{"judy": {Limit: 150_00, Flat: 10, Rate: 50}, "eve": {Limit: 190_00}, "ada": {Rate: 10}}

func customer(name string) bank.AccountID { return bank.AccountID{Name: name, Currency: demoCurrency} }

// accounts opens the customers' accounts. One of them is closed at once.
func (d *demonstration) accounts(ctx context.Context) error {
	d.title("Customers")
	for _, name := range customers {
		_, err := d.log.Update(ctx, func(tx *eventlog.Tx) error {
			if err := bank.Open(tx, customer(name), bank.Customer); err != nil {
				return err
			}
			if name == "niaj" {
				return bank.Close(tx, customer(name))
			}
			if err := bank.Agree(tx, customer(name), demoTerms[name]); err != nil {
				return err
			}
			lastMonth := bank.DateOf(tx.Time())[:len("2006-01")] + "-01"
			return bank.Deposit(tx, customer(name), demoBalance, lastMonth.AddMonths(-1), "to begin with")
		})
		if err != nil {
			return err
		}
	}
	d.say("%s", strings.Join(customers, ", "))
	d.say("open accounts with %d cents each, dated a month ago; niaj closes his again", demoBalance)
	d.say("what judy sends costs a fee, and above her limit it waits for approval")
	return nil
}

const (
	demoTransfers = 2000
	demoClients   = 32
	demoDuration  = 5 * time.Second // at most
)

// transfers lets many customers pay each other at once. Meanwhile an account is
// frozen and another one thawed.
func (d *demonstration) transfers(ctx context.Context) error {
	d.title("Transfers")
	d.say("%d clients pay each other; a transfer is a saga:", demoClients)
	d.say("debit, credit, and back when the credit is refused")
	t := &traffic{log: d.log, clients: demoClients, duration: demoDuration, most: demoTransfers, pick: anyPayment}
	news := make(chan int64, demoTransfers)
	t.ended = func(n int64) { news <- n }
	told := make(chan error, 1)
	go func() { told <- d.tell(ctx, t, news) }()
	err := t.run(ctx, ctx)
	close(news)
	if err = errors.Join(err, <-told); err != nil {
		return err
	}
	r := t.result()
	d.say("%s transfers, %.0f a second; half of them took less than %v from start to end",
		cli.Count(int64(r.Started)), r.PerSecond, (time.Duration(r.P50) * time.Microsecond).Round(time.Millisecond))
	return nil
}

// tell writes how the traffic goes, ten times, and lets things happen at a
// quarter, the half and three quarters of it.
func (d *demonstration) tell(ctx context.Context, t *traffic, news <-chan int64) error {
	events := []struct {
		at   float64
		text string
		do   func(tx *eventlog.Tx) error
	}{
		{0.25, "mallory's account is frozen", func(tx *eventlog.Tx) error { return bank.Freeze(tx, customer("mallory")) }},
		{0.5, "bob's account is frozen", func(tx *eventlog.Tx) error { return bank.Freeze(tx, customer("bob")) }},
		{0.75, "bob's account goes on", func(tx *eventlog.Tx) error { return bank.Thaw(tx, customer("bob")) }},
	}
	lines := 0.0
	for n := range news {
		at := max(float64(n)/demoTransfers, float64(time.Since(t.begin))/float64(demoDuration))
		if at*10 >= lines+1 {
			lines = math.Floor(at * 10)
			d.say("%s", &t.tally)
		}
		if len(events) > 0 && at >= events[0].at {
			if _, err := d.log.Update(ctx, events[0].do); err != nil {
				return err
			}
			d.say("--- %s", events[0].text)
			events = events[1:]
		}
	}
	return nil
}

func anyPayment() bank.Transfer {
	from := mathrand.IntN(len(customers))
	to := (from + 1 + mathrand.IntN(len(customers)-1)) % len(customers)
	return bank.Transfer{ID: rand.Text(), From: customers[from], To: customers[to], Currency: demoCurrency,
		Amount: 1 + mathrand.Int64N(demoBalance/5)}
}

// balances shows the read model.
func (d *demonstration) balances(ctx context.Context) error {
	d.title("Balances")
	var table bytes.Buffer
	columns := append(balanceColumns[:len(balanceColumns):len(balanceColumns)],
		column[bank.Balance]{"state", false, func(b bank.Balance) string { return string(b.State) }})
	list := only(d.model.Balances(ctx), func(b bank.Balance) bool {
		return b.Currency == demoCurrency && (b.Kind == bank.Customer || bank.Own(b.ID()))
	})
	if err := write(&table, output{Format: cli.Table}, columns, list); err != nil {
		return err
	}
	for line := range bytes.Lines(table.Bytes()) {
		fmt.Fprintf(d.out, "  %s", line)
	}
	return nil
}

// promises holds everything that happened against what the bank promises.
func (d *demonstration) promises(ctx context.Context) error {
	d.title("Promises")
	a, err := bank.Examine(ctx, d.log, d.model, nil, nil)
	if err != nil {
		return err
	}
	for _, problem := range a.Problems {
		d.say("BROKEN: %s", problem)
	}
	if n := len(a.Problems) + a.Waiting + a.Unsent; n > 0 {
		return fmt.Errorf("%d promises are broken: %d transfers and %d payments are under way", n, a.Waiting, a.Unsent)
	}
	d.say("every transfer has ended: %s completed, %s went back, %s of these before any money moved",
		cli.Count(int64(a.Completed)), cli.Count(int64(a.Refunded)), cli.Count(int64(a.Refused)))
	d.say("%s fees are kept, of completed transfers alone; %d standing orders had their day", cli.Count(int64(a.Fees)), a.Executions)
	d.say("interest was paid once on %d accounts; %d payment is with the other bank, none in suspense", a.Interest, a.Sent)
	d.say("money is conserved: %d accounts in %d currencies, each currency sums to zero", a.Accounts, len(a.Currencies))
	d.say("the read model equals a replay of the log: %d accounts, %s lines of statements", a.Accounts, cli.Count(int64(a.Postings)))
	if err := d.ledger(ctx); err != nil {
		return err
	}
	d.say("the household's balances equal those that another program computed")
	return nil
}

func (d *demonstration) ledger(ctx context.Context) error {
	books := only(d.model.Balances(ctx), func(b bank.Balance) bool {
		return b.Kind == bank.Ledger && !bank.Own(b.ID()) && b.Cents != 0
	})
	var got bytes.Buffer
	if err := write(&got, output{csv: true}, balanceColumns, books); err != nil {
		return err
	}
	if got.String() != d.given.balances {
		return errors.New("the household's balances are not those that another program computed")
	}
	return nil
}
