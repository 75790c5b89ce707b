package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

// Chapters of the demonstration about what takes its time.

// approval lets two transfers wait for a person.
func (d *demonstration) approval(ctx context.Context) error {
	d.title("Limits and fees")
	for _, c := range []struct {
		t  bank.Transfer
		by bank.Decision
	}{
		{bank.Transfer{ID: "car", From: "judy", To: "bob", Currency: demoCurrency, Amount: 160_00}, bank.Decision{By: "the manager", Reason: "no such car"}},
		{bank.Transfer{ID: "house", From: "judy", To: "ada", Currency: demoCurrency, Amount: 200_00}, bank.Decision{By: "the manager", Approved: true}},
	} {
		if _, err := d.log.Update(ctx, c.t.Start); err != nil {
			return err
		}
		for st, err := range bank.Transfers.Follow(ctx, d.log, c.t.ID) {
			if err == nil && bank.Waiting(st) {
				d.say("%s waits", described(st))
				_, err = d.log.Update(ctx, func(tx *eventlog.Tx) error { return bank.Decide(tx, c.t.ID, c.by) })
			}
			if err != nil {
				return err
			}
			if st.State.Ended() {
				d.say("  and is %s%s", st.State, because(st.Err))
			}
		}
	}
	return d.trace(ctx, "house")
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(": %v", err)
}

// trace shows what followed from the start of a transfer.
func (d *demonstration) trace(ctx context.Context, id string) error {
	chain, err := bank.Chain(ctx, d.log, id)
	if err != nil {
		return err
	}
	tree, err := saga.Trace(ctx, d.log, chain)
	if err != nil {
		return err
	}
	d.say("step by step, over all shards:")
	for line := range bytes.Lines([]byte(tree.String())) {
		fmt.Fprintf(d.out, "    %s", line)
	}
	return nil
}

// orders places a standing order that is due today.
func (d *demonstration) orders(ctx context.Context) error {
	d.title("Standing orders")
	var first bank.Date
	_, err := d.log.Update(ctx, func(tx *eventlog.Tx) error {
		first = bank.DateOf(tx.Time())
		return bank.Place(tx, "rent", bank.OrderPlaced{From: "carol", To: "dave", Currency: demoCurrency, Amount: 70_00, First: first, Months: 1})
	})
	if err != nil {
		return err
	}
	if _, err := await(ctx, d.log, bank.OrderTransfer("rent", first)); err != nil {
		return err
	}
	o, err := bank.ShowOrder(ctx, d.log, "rent")
	if err != nil {
		return err
	}
	d.say("carol's rent is due on the day %s: of %s it is %s, the next one is %s", first[len("2006-01-"):], o.Last, o.Outcome, o.Next)
	return nil
}

// await waits for the end of a transfer that may not be started yet.
func await(ctx context.Context, log *eventlog.Log, id string) (st saga.Status[bank.Transfer], err error) {
	for st, err = range bank.Transfers.Follow(ctx, log, id) {
		if err != nil {
			return st, err
		}
	}
	return st, nil
}

// interest pays that of the last month, twice.
func (d *demonstration) interest(ctx context.Context) error {
	d.title("Interest")
	begin := time.Now()
	month := (bank.DateOf(begin)[:len("2006-01")] + "-01").AddMonths(-1).Month()
	for range 2 {
		st, err := runInterest(ctx, bank.Sagas(d.log), bank.Interest{Month: month, Currency: demoCurrency, Rate: 240}, cli.StartProgress(io.Discard, "", ""))
		if err != nil {
			return err
		}
		d.say("%s at 2.4%%: %d accounts looked at, %d paid, %s in all, after %v", month, st.Data.Accounts, st.Data.Paid,
			money(st.Data.Sum, demoCurrency), time.Since(begin).Round(time.Millisecond))
	}
	d.say("the second time it was done already")
	return nil
}

const demoPayment = "abroad"

// send starts a payment to a bank that has a bad day.
func (d *demonstration) send(ctx context.Context) error {
	p := bank.Payment{ID: demoPayment, From: "grace", Bank: d.other.url, To: "DE02 1203", Currency: demoCurrency, Amount: 33_00}
	_, err := d.log.Update(ctx, p.Start)
	return err
}

// sent waits for its end.
func (d *demonstration) sent(ctx context.Context) error {
	d.title("A payment to another bank")
	st, err := bank.Payments.Await(ctx, d.log, demoPayment)
	if err != nil {
		return err
	}
	d.say("it was asked %d times and executed %d: first it failed, then its answer was lost, at last it said %q", d.other.asked(), d.other.executed(), st.Data.Receipt)
	d.say("the money was in %s meanwhile; the payment is %s", bank.Suspense("").Name, st.State)
	return nil
}
