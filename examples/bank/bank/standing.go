package bank

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// What one can do with standing orders, and what they do.

// Place begins a standing order: a transfer at o.First, or as soon as that day has
// begun, and then every o.Months months. A month that lacks the day has it on its
// last one. Placed again with the same content nothing happens, with other content
// it is refused with eventlog.ErrIDReused.
func Place(tx *eventlog.Tx, id string, p OrderPlaced) error {
	o := &Order{From: p.From, To: p.To, Currency: p.Currency, Amount: p.Amount, First: p.First, Months: p.Months}
	if err := o.check(id); err != nil {
		return fmt.Errorf("order %s: %w", id, err)
	}
	earlier, err := Orders.Load(tx, streamOfOrder(id))
	switch {
	case err != nil:
		return err
	case earlier.Placed == p:
		return nil
	case earlier.State != "":
		return fmt.Errorf("order %s: %w", id, eventlog.ErrIDReused)
	}
	if err := checkFirst(p.First, tx.Time()); err != nil {
		return fmt.Errorf("order %s: %w", id, err)
	}
	if err := tx.Append(streamOfOrder(id), p); err != nil {
		return err
	}
	return o.wind(tx, id)
}

// Change changes what is not executed yet. Fields of c that are zero stay as they
// are; a First begins a new series of dates, behind the last execution.
// ErrNoOrder, ErrCancelled: there is no such order, or no more.
func Change(tx *eventlog.Tx, id string, c OrderChanged) error {
	o, err := loadOrder(tx, id)
	if err != nil {
		return err
	}
	if c.To == "" {
		c.To = o.To
	}
	if c.Amount == 0 {
		c.Amount = o.Amount
	}
	if c.Months == 0 {
		c.Months = o.Months
	}
	if c.Months != o.Months && c.First == "" {
		c.First = o.Next() // so that the dates until then remain what they were
	} else if c.First != "" {
		err = checkFirst(c.First, tx.Time())
	}
	if err == nil && c.First != "" && c.First <= o.Last {
		err = fmt.Errorf("%w: %s is not behind the execution of %s", ErrSchedule, c.First, o.Last)
	}
	o.To, o.Amount, o.Months = c.To, c.Amount, c.Months
	if c.First != "" {
		o.First, o.Done = c.First, 0
	}
	if err == nil {
		err = o.check(id)
	}
	if err != nil {
		return fmt.Errorf("order %s: %w", id, err)
	}
	if err := tx.Append(streamOfOrder(id), c); err != nil {
		return err
	}
	return o.wind(tx, id)
}

// Cancel ends a standing order. A transfer that it has started goes on.
func Cancel(tx *eventlog.Tx, id string) error {
	if _, err := loadOrder(tx, id); err != nil {
		return err
	}
	if err := tx.Append(streamOfOrder(id), OrderCancelled{}); err != nil {
		return err
	}
	return alarm(id).Cancel(tx)
}

func loadOrder(tx *eventlog.Tx, id string) (*Order, error) {
	if err := checkText("id", id); err != nil {
		return nil, err
	}
	o, err := Orders.Load(tx, streamOfOrder(id))
	switch {
	case err != nil:
		return nil, err
	case o.State == "":
		return nil, fmt.Errorf("order %s: %w", id, ErrNoOrder)
	case o.State == Cancelled:
		return nil, fmt.Errorf("order %s: %w", id, ErrCancelled)
	}
	return o, nil
}

// alarm is the timer of an order.
func alarm(id string) outbox.Timer {
	return outbox.Timer{Target: streamOfOrder(id), Name: "due"}
}

// wind sets it to the next due date.
func (o *Order) wind(tx *eventlog.Tx, id string) error {
	return alarm(id).Set(tx, o.Next().Time(), orderDue{ID: id, Due: o.Next()})
}

// orderDue is what the timer of an order is set to.
type orderDue struct {
	ID  string `json:"id"`
	Due Date   `json:"due"`
}

func (orderDue) StepType() string { return "bank.order_due" }
func (d orderDue) Target() string { return streamOfOrder(d.ID) }

// execute starts the transfer of a due date and sets the timer to the next one, in
// one commit. Where dates were missed, because nobody was there to execute them,
// the next one has passed too, and is executed at once: each has its transfer. That
// the transfer is refused, for want of money, is the transfer's end and not the
// order's: the next date has its own.
func execute(tx *eventlog.Tx, d orderDue) error {
	o, err := Orders.Load(tx, d.Target())
	if err != nil || o.State != Active || o.Next() != d.Due {
		return err // it was cancelled or changed meanwhile
	}
	if err := tx.Append(d.Target(), OrderExecuted{Due: d.Due}); err != nil {
		return err
	}
	t := o.Transfer(d.ID, d.Due)
	if err := outbox.Enqueue(tx, Transfers.Begin(t.ID, t)); err != nil {
		return err
	}
	o.Done++
	return o.wind(tx, d.ID)
}
