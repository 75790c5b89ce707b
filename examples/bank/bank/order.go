package bank

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// Order is a standing order as the events of its stream, order/ID, add up to.
type Order struct {
	From     string     `json:"from"`
	To       string     `json:"to"`
	Currency string     `json:"currency"`
	Amount   int64      `json:"amount"`
	Months   int        `json:"months"` // from one execution to the next
	State    OrderState `json:"state"`  // "": there is no such order

	First  Date        `json:"first"`          // of the series of dates
	Done   int         `json:"done"`           // executions of the series
	Last   Date        `json:"last,omitempty"` // execution, of any series
	Placed OrderPlaced `json:"placed"`         // as it was at first
}

// OrderState is where a standing order is in its life.
type OrderState string

const (
	Active    OrderState = "active"
	Cancelled OrderState = "cancelled" // for ever
)

// The events of a standing order.
type (
	// OrderPlaced begins an order.
	OrderPlaced struct {
		From     string `json:"from"`
		To       string `json:"to"`
		Currency string `json:"currency"`
		Amount   int64  `json:"amount"`
		First    Date   `json:"first"`
		Months   int    `json:"months"`
	}
	// OrderChanged says what is so from now on.
	OrderChanged struct {
		To     string `json:"to"`
		Amount int64  `json:"amount"`
		First  Date   `json:"first,omitempty"` // of a new series; empty: the old one goes on
		Months int    `json:"months"`
	}
	// OrderExecuted says that the transfer of a due date was started. What became of
	// it is in the transfer's own stream.
	OrderExecuted struct {
		Due Date `json:"due"`
	}
	// OrderCancelled ends an order.
	OrderCancelled struct{}
)

func (OrderPlaced) EventType() string    { return "bank.order_placed" }
func (OrderChanged) EventType() string   { return "bank.order_changed" }
func (OrderExecuted) EventType() string  { return "bank.order_executed" }
func (OrderCancelled) EventType() string { return "bank.order_cancelled" }

// Orders folds the stream of a standing order.
var Orders = eventlog.Model[Order]{Name: "order", Version: 1, Folds: eventlog.Folds[Order]{
	eventlog.On(func(o *Order, e OrderPlaced) {
		*o = Order{From: e.From, To: e.To, Currency: e.Currency, Amount: e.Amount, First: e.First, Months: e.Months, State: Active, Placed: e}
	}),
	eventlog.On(func(o *Order, e OrderChanged) {
		o.To, o.Amount, o.Months = e.To, e.Amount, e.Months
		if e.First != "" {
			o.First, o.Done = e.First, 0
		}
	}),
	eventlog.On(func(o *Order, e OrderExecuted) { o.Done, o.Last = o.Done+1, e.Due }),
	eventlog.On(func(o *Order, _ OrderCancelled) { o.State = Cancelled }),
}}

const orderStream = "order/"

// parseOrder returns the id of the order that a stream belongs to.
func parseOrder(stream string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(stream, orderStream)
	if !ok {
		return "", false
	}
	id, err := url.PathUnescape(rest)
	return id, err == nil
}

func streamOfOrder(id string) string { return orderStream + escape(id) }

// Next returns the next due date: the first one of the series and so many months.
func (o *Order) Next() Date { return o.First.AddMonths(o.Done * o.Months) }

// Transfer returns the transfer of a due date. Its id follows from the order and
// the date: however often it is started, it happens once.
func (o *Order) Transfer(id string, due Date) Transfer {
	return Transfer{ID: OrderTransfer(id, due), From: o.From, To: o.To, Currency: o.Currency, Amount: o.Amount}
}

// OrderTransfer returns the id of the transfer of an order's due date.
func OrderTransfer(order string, due Date) string { return orderStream + order + "/" + string(due) }

func isOrderTransfer(id string) bool { return strings.HasPrefix(id, orderStream) }

// Bounds of standing orders.
const (
	maxOrderID = 200 // bytes
	maxMonths  = 120
	maxAhead   = 10 * 366 * 24 * time.Hour // the first date
)

func (o *Order) check(id string) error {
	if len(id) > maxOrderID {
		return fmt.Errorf("%w: the id has %d bytes, at most %d", ErrName, len(id), maxOrderID)
	}
	if o.Months < 1 || o.Months > maxMonths {
		return fmt.Errorf("%w: every %d months: 1 to %d", ErrSchedule, o.Months, maxMonths)
	}
	t := o.Transfer(id, o.First)
	return errors.Join(checkText("id", id), t.check())
}

// checkFirst refuses a series of dates that begins in the past, or so late that
// it must be a mistake.
func checkFirst(first Date, now time.Time) error {
	if _, err := ParseDate(string(first)); err != nil {
		return err
	}
	if first < DateOf(now) || first > DateOf(now.Add(maxAhead)) {
		return fmt.Errorf("%w: the first date %s is not within ten years from today on", ErrSchedule, first)
	}
	return nil
}
