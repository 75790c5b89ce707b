package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/saga"
)

// Traffic is many clients who make transfers at a time, each one after the
// other, some of them by standing orders, and decide on those that wait for
// approval. A runner of the bank's sagas must run beside it.
type traffic struct {
	log      *eventlog.Log
	clients  int
	duration time.Duration
	most     int                   // transfers to start; 0: no limit
	pick     func() bank.Transfer  // what to do next
	started  func(id string) error // after each acknowledged start
	ended    func(n int64)         // after each end, with how many there are

	begin  time.Time
	lasted time.Duration
	tally  tally
}

// run starts transfers until stopping ends or the duration or the number is
// reached, and waits for the end of each. The first error ends all.
func (t *traffic) run(stopping, work context.Context) error {
	t.begin = time.Now()
	stopping, stop := context.WithTimeout(stopping, t.duration)
	defer stop()
	var wg sync.WaitGroup
	errs := make(chan error, t.clients)
	for range t.clients {
		wg.Go(func() {
			if err := t.client(stopping, work); err != nil {
				errs <- err
				stop()
			}
		})
	}
	wg.Wait()
	t.lasted = time.Since(t.begin)
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func (t *traffic) client(stopping, work context.Context) error {
	for stopping.Err() == nil && t.tally.take(t.most) {
		d, begin := deal{Transfer: t.pick(), ordered: mathrand.IntN(orderEach) == 0}, time.Now()
		id, err := d.begin(work, t.log)
		if err == nil && t.started != nil {
			err = t.started(id)
		}
		if err != nil {
			return err
		}
		st, err := d.end(work, t.log, id)
		if err != nil {
			return err
		}
		n := t.tally.count(st, time.Since(begin))
		if t.ended != nil {
			t.ended(n)
		}
	}
	return nil
}

const (
	orderEach  = 20 // so many transfers for one by a standing order
	refuseEach = 4  // so many decisions for one that says no
)

// A deal is a transfer, perhaps by a standing order.
type deal struct {
	bank.Transfer
	ordered bool
}

// begin starts the transfer, or places an order that is due today, and returns the
// transfer's id.
func (d *deal) begin(ctx context.Context, log *eventlog.Log) (id string, err error) {
	if !d.ordered {
		_, err = log.Update(ctx, d.Start)
		return d.ID, err
	}
	_, err = log.Update(ctx, func(tx *eventlog.Tx) error {
		today := bank.DateOf(tx.Time())
		id = bank.OrderTransfer(d.ID, today)
		return bank.Place(tx, d.ID, bank.OrderPlaced{From: d.From, To: d.To, Currency: d.Currency, Amount: d.Amount, First: today, Months: 1})
	})
	return id, err
}

// end waits for the end of the transfer, decides on it if it is asked to, and
// cancels the order.
func (d *deal) end(ctx context.Context, log *eventlog.Log, id string) (st saga.Status[bank.Transfer], err error) {
	for st, err = range bank.Transfers.Follow(ctx, log, id) {
		if err == nil && bank.Waiting(st) {
			err = decideAtRandom(ctx, log, id)
		}
		if err != nil {
			return st, err
		}
	}
	if d.ordered {
		_, err = log.Update(ctx, func(tx *eventlog.Tx) error { return bank.Cancel(tx, d.ID) })
	}
	return st, err
}

func decideAtRandom(ctx context.Context, log *eventlog.Log, id string) error {
	d := bank.Decision{Approved: mathrand.IntN(refuseEach) > 0, By: "the manager"}
	_, err := log.Update(ctx, func(tx *eventlog.Tx) error { return bank.Decide(tx, id, d) })
	if err != nil {
		return fmt.Errorf("decide on %s: %w", id, err)
	}
	return nil
}
