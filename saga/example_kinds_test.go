package saga_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// shown is a log in which these examples run.
type shown struct {
	*eventlog.Log
	handlers []outbox.Handler
}

func show(handlers ...[]outbox.Handler) *shown {
	log, err := eventlog.Open(context.Background(), memlog.Open(), nil)
	if err != nil {
		panic(err)
	}
	s := &shown{Log: log}
	for _, list := range handlers {
		s.handlers = append(s.handlers, list...)
	}
	return s
}

// do does something in a transaction, and lets what follows from it be done.
func (s *shown) do(fn func(tx *eventlog.Tx) error) {
	if _, err := s.Update(context.Background(), fn); err != nil {
		panic(err)
	}
	if err := (&outbox.Runner{Log: s.Log, Handlers: s.handlers}).Drain(context.Background()); err != nil { // a service calls Run
		panic(err)
	}
}

func (s *shown) send(step outbox.Step) {
	s.do(func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, step) })
}

type Loan struct {
	Customer string
	Cents    int
	Rate     float64
	Approved bool
	Ref      string
}

type Paid struct{ Cents int }
type Approval struct {
	By string
	OK bool
}

func (Paid) EventType() string { return "loan.paid" }

// rating asks another service. A program's own would use the key, so that the service
// knows a repetition.
func rating(_ context.Context, key string, l *Loan) error {
	l.Rate = map[bool]float64{true: 3.5, false: 9.9}[l.Customer == "ann"]
	l.Ref = key
	return nil
}

// loans have a step of each kind: a call, a branch, a signal that somebody must give
// within a day, a wait, and a change.
var loans = saga.Saga[Loan]{Name: "loan", Version: 1, Steps: saga.Steps[Loan]{{
	Name: "rating",
	Call: rating,
}, {
	Name:   "large",
	Next:   func(l *Loan) string { return map[bool]string{true: "approval", false: "cooling"}[l.Cents > 1000] },
	Routes: []string{"approval", "cooling"},
}, {
	Name: "approval",
	Signal: saga.On("approved", func(l *Loan, a Approval) error {
		if l.Approved = a.OK; !a.OK {
			return errors.New(a.By + " says no")
		}
		return nil
	}),
	Timeout: 24 * time.Hour,
}, {
	Name: "cooling",
	Wait: time.Millisecond,
}, {
	Name: "pay",
	On:   func(l *Loan) string { return "customer/" + l.Customer },
	Do:   func(tx *eventlog.Tx, l *Loan) error { return tx.Append("customer/"+l.Customer, Paid{l.Cents}) },
	Undo: func(tx *eventlog.Tx, l *Loan) error { return tx.Append("customer/"+l.Customer, Paid{-l.Cents}) },
}}}

func ExampleStep() {
	log := show(loans.Handlers())
	defer log.Close()
	ctx := context.Background()
	log.do(func(tx *eventlog.Tx) error { return loans.Start(tx, "1", Loan{Customer: "ann", Cents: 500}) })
	time.Sleep(10 * time.Millisecond)
	log.do(func(tx *eventlog.Tx) error { return nil })
	st, err := loans.Status(ctx, log.Log, "1")
	fmt.Println(st.State, st.Done, st.Data.Rate, st.Data.Ref, err)
	// Output:
	// completed [rating cooling pay] 3.5 loan/1/1 <nil>
}

func ExampleSteps() {
	for _, step := range loans.Steps {
		fmt.Println(step.Name, step.Timeout)
	}
	// Output:
	// rating 0s
	// large 0s
	// approval 24h0m0s
	// cooling 0s
	// pay 0s
}

func ExampleSignal() {
	log := show(loans.Handlers())
	defer log.Close()
	ctx := context.Background()
	log.do(func(tx *eventlog.Tx) error { return loans.Start(tx, "1", Loan{Customer: "bob", Cents: 5000}) })
	st, _ := loans.Status(ctx, log.Log, "1")
	fmt.Println(st.State, st.Step, "waits for", st.Signal)

	log.send(saga.Signal{Saga: loans.Name, ID: "1", Name: "approved", Dedup: "form 17", Data: Approval{"eve", false}})
	st, _ = loans.Status(ctx, log.Log, "1")
	fmt.Println(st.State, st.Refused, st.Err)
	// Output:
	// running approval waits for approved
	// compensated approval eve says no
}

func ExampleReceiver() {
	var approval saga.Receiver[Loan] = saga.On("approved", func(l *Loan, a Approval) error {
		l.Approved = a.OK
		return nil
	})
	wait := saga.Step[Loan]{Name: "approval", Signal: approval, Timeout: 24 * time.Hour, OnTimeout: "remind"}
	fmt.Println(wait.Name, wait.Timeout)
	// Output:
	// approval 24h0m0s
}

type Fee struct {
	Account string
	Cents   int
}

var fees = saga.Saga[Fee]{Name: "fee", Version: 1, Steps: saga.Steps[Fee]{{
	Name: "take",
	On:   func(f *Fee) string { return "customer/" + f.Account },
	Do:   func(tx *eventlog.Tx, f *Fee) error { f.Cents = 25; return tx.Append("customer/"+f.Account, Paid{-25}) },
	Undo: func(tx *eventlog.Tx, f *Fee) error { return tx.Append("customer/"+f.Account, Paid{25}) },
}}}

type Order struct {
	Customer string
	Fee      int
	Offers   []string
}

func ExampleChild() {
	var fee saga.Child[Order] = saga.Run(&fees,
		func(o *Order, _ string) Fee { return Fee{Account: o.Customer} },
		func(o *Order, _ string, f Fee) error { o.Fee = f.Cents; return nil })
	orders := saga.Saga[Order]{Name: "order", Version: 1, Steps: saga.Steps[Order]{{Name: "fee", Child: fee}, {
		Name: "ship",
		On:   func(o *Order) string { return "shipment/" + o.Customer },
		Do:   func(*eventlog.Tx, *Order) error { return outbox.Abort(errors.New("sold out")) },
	}}}
	log := show(orders.Handlers(), fees.Handlers())
	defer log.Close()
	log.do(func(tx *eventlog.Tx) error { return orders.Start(tx, "1", Order{Customer: "ann"}) })
	st, err := orders.Status(context.Background(), log.Log, "1")
	fmt.Println(st.State, st.Err, st.Data.Fee, err)
	child, err := fees.Status(context.Background(), log.Log, "1/fee.1") // it had completed, and went back
	fmt.Println(child.State, child.Err, err)
	// Output:
	// compensated sold out 25 <nil>
	// cancelled its parent goes back <nil>
}

func ExampleKeys() {
	var couriers saga.Keys[Order] = saga.Items(func(*Order) []string { return []string{"fast", "cheap", "green"} })
	orders := saga.Saga[Order]{Name: "order", Version: 1, Steps: saga.Steps[Order]{{
		Name:  "offers",
		Keys:  couriers,
		Child: saga.Run(&fees, func(_ *Order, key string) Fee { return Fee{Account: key} }, func(o *Order, key string, _ Fee) error { o.Offers = append(o.Offers, key); return nil }),
		Need:  func(*Order) int { return 1 }, // the first is enough, the others go back
	}}}
	log := show(orders.Handlers(), fees.Handlers())
	defer log.Close()
	log.do(func(tx *eventlog.Tx) error { return orders.Start(tx, "1", Order{}) })
	st, err := orders.Status(context.Background(), log.Log, "1")
	fmt.Println(st.State, len(st.Data.Offers), err)
	states := map[saga.State]int{}
	for i, err := range saga.List(context.Background(), log.Log, "fee") {
		if err != nil {
			panic(err)
		}
		states[i.State]++
	}
	fmt.Println(states)
	// Output:
	// completed 1 <nil>
	// map[cancelled:2 completed:1]
}
