package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Remind is the step that reminds somebody of an order.
type Remind struct{ Order string }

type Reminded struct{}

func (Remind) StepType() string    { return "shop.remind" }
func (r Remind) Target() string    { return "order/" + r.Order }
func (Reminded) EventType() string { return "shop.reminded" }

var remind = outbox.On(func(tx *eventlog.Tx, r Remind) error { return tx.Append(r.Target(), Reminded{}) }, nil)

func must(_ eventlog.Position, err error) {
	if err != nil {
		panic(err)
	}
}

// drainExample rolls forward what is due.
func drainExample(ctx context.Context, log *eventlog.Log, handlers ...outbox.Handler) {
	if err := (&outbox.Runner{Log: log, Handlers: handlers}).Drain(ctx); err != nil {
		panic(err)
	}
}

// A step may wait for its time, and be taken back until then.
func ExampleAt() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	var id eventlog.ID
	must(log.Update(ctx, func(tx *eventlog.Tx) (err error) {
		id, err = outbox.At(tx, time.Now().Add(time.Hour), Remind{"7"})
		return err
	}))
	for step, err := range outbox.Pending(ctx, log) {
		fmt.Println(step.Type, time.Until(step.Due).Round(time.Minute), err)
	}
	var done bool
	must(log.Update(ctx, func(tx *eventlog.Tx) (err error) {
		done, err = outbox.Cancel(tx, id, Remind{"7"}.Target())
		return err
	}))
	fmt.Println("it was done:", done)
	for range outbox.Pending(ctx, log) {
		fmt.Println("it is still pending")
	}
	// Output:
	// shop.remind 1h0m0s <nil>
	// it was done: false
}

func ExampleCancel() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	var id eventlog.ID
	must(log.Update(ctx, func(tx *eventlog.Tx) (err error) {
		id, err = outbox.At(tx, time.Time{}, Remind{"7"})
		return err
	}))
	drainExample(ctx, log, remind)
	must(log.Update(ctx, func(tx *eventlog.Tx) error {
		done, err := outbox.Cancel(tx, id, Remind{"7"}.Target())
		fmt.Println("too late:", done)
		return err
	}))
	// Output:
	// too late: true
}

// A timer is set, moved and cancelled together with whatever else happens to its
// target.
func ExampleTimer() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	reminder := outbox.Timer{Target: "order/7", Name: "reminder"}
	must(log.Update(ctx, func(tx *eventlog.Tx) error {
		if err := tx.Append("order/7", Ordered{"lamp"}); err != nil {
			return err
		}
		return reminder.Set(tx, time.Now().Add(24*time.Hour), Remind{"7"})
	}))
	must(log.Update(ctx, func(tx *eventlog.Tx) error { return reminder.Set(tx, time.Now(), Remind{"7"}) })) // sooner
	drainExample(ctx, log, remind)
	show(ctx, log, "order/7")
	must(log.Update(ctx, reminder.Cancel)) // nothing to cancel: no error
	// Output:
	// order/7: shop.ordered {"Item":"lamp"}
	// order/7: shop.reminded {}
}

// Charge is an effect outside of the log.
type Charge struct{ Order string }

type Charged struct{ Order, Receipt string }

type ChargeDone struct{ Receipt string }

func (Charge) StepType() string      { return "shop.charge" }
func (c Charge) Target() string      { return "order/" + c.Order }
func (Charged) StepType() string     { return "shop.charged" }
func (c Charged) Target() string     { return "order/" + c.Order }
func (ChargeDone) EventType() string { return "shop.charge_done" }

// An Effect runs outside of any commit, at least once and always under the same
// key. Its result is a step, which is enqueued once.
func ExampleEffect() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	attempts := 0
	charge := outbox.Effect(func(ctx context.Context, key string, c Charge) (outbox.Step, error) {
		if attempts++; attempts == 1 {
			return nil, errors.New("no answer") // of the server, which gets the key
		}
		return Charged{c.Order, "R-1"}, nil
	}, &outbox.Policy{Backoff: time.Nanosecond, Timeout: time.Minute})
	charged := outbox.On(func(tx *eventlog.Tx, c Charged) error { return tx.Append(c.Target(), ChargeDone{c.Receipt}) }, nil)
	must(log.Update(ctx, func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, Charge{"7"}) }))
	drainExample(ctx, log, charge, charged)
	drainExample(ctx, log, charge, charged)
	show(ctx, log, "order/7")
	fmt.Println("attempts:", attempts)
	// Output:
	// order/7: shop.charge_done {"Receipt":"R-1"}
	// attempts: 2
}

// Somebody has ordered unicorns after all.
func ExampleRedrive() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "unicorn")
	drainExample(ctx, log, reserve)
	n, err := outbox.Redrive(ctx, log, outbox.Filter{Type: "shop.reserve"}, outbox.Decision{By: "ann", Why: "they have come"})
	fmt.Println(n, err)
	unicorns := outbox.On(func(tx *eventlog.Tx, r Reserve) error { return tx.Append(r.Target(), Reserved{r.Order}) }, nil)
	drainExample(ctx, log, unicorns)
	show(ctx, log, "item/unicorn")
	// Output:
	// 1 <nil>
	// item/unicorn: shop.reserved {"Order":"7"}
}

func ExampleDiscard() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "unicorn")
	drainExample(ctx, log, reserve)
	n, err := outbox.Discard(ctx, log, outbox.Filter{Err: "unicorns"}, outbox.Decision{By: "ann", Why: "there never will be"})
	fmt.Println(n, err)
	for range outbox.Dead(ctx, log) {
		fmt.Println("a letter is left")
	}
	// Output:
	// 1 <nil>
}

// A Filter selects among the dead letters.
func ExampleFilter() {
	letter := outbox.Info{Type: "shop.reserve", Target: "item/unicorn", Err: "there are no unicorns"}
	fmt.Println(outbox.Filter{}.Match(letter), outbox.Filter{Target: "item/lamp"}.Match(letter), outbox.Filter{Err: "no unicorns"}.Match(letter))
	// Output:
	// true false true
}

// The payload of a letter can be mended.
func ExampleDecision() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "unicorn")
	drainExample(ctx, log, reserve)
	var which outbox.Filter
	for letter, err := range outbox.Dead(ctx, log) {
		if err != nil {
			panic(err)
		}
		which.ID = letter.ID
	}
	mended := outbox.Decision{By: "ann", Why: "a horse will do", Data: []byte(`{"Item":"horse","Order":"7"}`)}
	if _, err := outbox.Redrive(ctx, log, which, mended); err != nil {
		panic(err)
	}
	drainExample(ctx, log, reserve)
	show(ctx, log, "item/horse")
	// Output:
	// item/horse: shop.reserved {"Order":"7"}
}

// Hooks see what becomes of steps, once it is durable.
func ExampleHooks() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "lamp")
	order(ctx, log, "8", "unicorn")
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}, Hooks: outbox.Hooks{
		Step: func(i outbox.StepInfo) {
			if i.Outcome == outbox.StepDead {
				fmt.Println(i.Type, i.Outcome, i.Err)
			}
		},
	}}
	if err := runner.Drain(ctx); err != nil {
		panic(err)
	}
	// Output:
	// shop.reserve dead there are no unicorns
}

func ExampleRunner_Health() {
	ctx, stop := context.WithCancel(context.Background())
	log := openExample(ctx)
	defer log.Close()
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}
	fmt.Println(runner.Health(ctx))
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	order(ctx, log, "7", "lamp")
	for range log.Read(ctx, eventlog.Query{Stream: "item/lamp", Follow: true, Limit: 1}) {
	}
	fmt.Println(runner.Health(ctx))
	stop()
	<-done
	// Output:
	// outbox: the runner does not run
	// <nil>
}

// In a Watermill router the runner's notifications pass the router's middleware,
// and the router runs it.
func ExampleRunner_AddTo() {
	ctx, stop := context.WithCancel(context.Background())
	log := openExample(ctx)
	defer log.Close()
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		panic(err)
	}
	(&outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}).AddTo(router, "", broker)
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	order(ctx, log, "7", "lamp")
	for r, err := range log.Read(ctx, eventlog.Query{Stream: "item/lamp", Follow: true, Limit: 1}) {
		fmt.Println(r.Type, err)
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// shop.reserved <nil>
	// <nil>
}
