package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

type Ordered struct{ Item string }
type Reserved struct{ Order string }

func (Ordered) EventType() string  { return "shop.ordered" }
func (Reserved) EventType() string { return "shop.reserved" }

// Reserve is the step that reserves an item for an order.
type Reserve struct{ Item, Order string }

func (Reserve) StepType() string { return "shop.reserve" }
func (r Reserve) Target() string { return "item/" + r.Item }

var reserve = outbox.On(func(tx *eventlog.Tx, r Reserve) error {
	if r.Item == "unicorn" {
		return outbox.Abort(errors.New("there are no unicorns"))
	}
	return tx.Append(r.Target(), Reserved{r.Order})
}, &outbox.Policy{Attempts: 8, Backoff: time.Second})

// order places an order: the event and the step are one commit.
func order(ctx context.Context, log *eventlog.Log, id, item string) {
	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
		if err := tx.Append("order/"+id, Ordered{item}); err != nil {
			return err
		}
		return outbox.Enqueue(tx, Reserve{item, id})
	})
	if err != nil {
		panic(err)
	}
}

func openExample(ctx context.Context) *eventlog.Log {
	log, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		panic(err)
	}
	return log
}

func show(ctx context.Context, log *eventlog.Log, stream string) {
	for r, err := range log.Read(ctx, eventlog.Query{Stream: stream}) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s %s\n", r.Stream, r.Type, r.Data)
	}
}

func Example() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "lamp")

	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}
	if err := runner.Drain(ctx); err != nil { // a service calls Run
		panic(err)
	}
	show(ctx, log, "item/lamp")
	// Output:
	// item/lamp: shop.reserved {"Order":"7"}
}

func ExampleRunner_Run() {
	ctx, stop := context.WithCancel(context.Background())
	log := openExample(ctx)
	defer log.Close()
	done := make(chan error, 1)
	go func() {
		runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}
		done <- runner.Run(ctx)
	}()
	order(ctx, log, "7", "lamp")
	for r, err := range log.Read(ctx, eventlog.Query{Stream: "item/lamp", Follow: true}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Stream, r.Type)
		break
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// item/lamp shop.reserved
	// <nil>
}

func ExampleDead() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "unicorn")
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}
	if err := runner.Drain(ctx); err != nil {
		panic(err)
	}
	for letter, err := range outbox.Dead(ctx, log) {
		if err != nil {
			panic(err)
		}
		fmt.Println(letter.Type, letter.Target, letter.Attempts, letter.Err)
	}
	// Output:
	// shop.reserve item/unicorn 1 there are no unicorns
}

func ExamplePending() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "lamp")
	for step, err := range outbox.Pending(ctx, log) {
		if err != nil {
			panic(err)
		}
		fmt.Println(step.Type, step.Target, string(step.Data))
	}
	// Output:
	// shop.reserve item/lamp {"Item":"lamp","Order":"7"}
}

// A Step is data; what it does is its handler's business.
func ExampleStep() {
	var step outbox.Step = Reserve{Item: "lamp", Order: "7"}
	fmt.Println(step.StepType(), "on", step.Target())
	// Output:
	// shop.reserve on item/lamp
}

// What is known of a step that waits for its next attempt.
func ExampleInfo() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "lamp")
	broken := outbox.On(func(*eventlog.Tx, Reserve) error { return errors.New("out of order") }, &outbox.Policy{Backoff: time.Hour})
	if err := (&outbox.Runner{Log: log, Handlers: []outbox.Handler{broken}}).Drain(ctx); err != nil {
		panic(err)
	}
	var waiting []outbox.Info
	for step, err := range outbox.Pending(ctx, log) {
		if err != nil {
			panic(err)
		}
		waiting = append(waiting, step)
	}
	fmt.Println(len(waiting), waiting[0].Attempts, waiting[0].Err, waiting[0].Due.After(waiting[0].First))
	// Output:
	// 1 1 out of order true
}

// A Handler may say what a step leaves behind that has failed for good.
func ExampleHandler() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "unicorn")
	apologise := reserve
	apologise.Failed = func(tx *eventlog.Tx, s outbox.Raw, err error) error {
		return tx.Append("apology/7", eventlog.Raw{Type: "shop.sorry", Data: []byte(`{"why":"` + err.Error() + `"}`)})
	}
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{apologise}}
	if err := runner.Drain(ctx); err != nil {
		panic(err)
	}
	show(ctx, log, "apology/7")
	// Output:
	// apology/7: shop.sorry {"why":"there are no unicorns"}
}

// A step that fails for a while succeeds in the end, or is a dead letter.
func ExamplePolicy() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "lamp")
	broken := outbox.On(func(*eventlog.Tx, Reserve) error { return errors.New("out of order") },
		&outbox.Policy{Attempts: 3, Backoff: time.Nanosecond, MaxBackoff: time.Nanosecond})
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{broken}}
	for range 3 {
		if err := runner.Drain(ctx); err != nil {
			panic(err)
		}
	}
	for letter, err := range outbox.Dead(ctx, log) {
		if err != nil {
			panic(err)
		}
		fmt.Println(letter.Attempts, letter.Err)
	}
	// Output:
	// 3 out of order
}

// A Raw step has no Go type: its type and payload come from elsewhere.
func ExampleRaw() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
		return outbox.Enqueue(tx, outbox.Raw{Type: "shop.reserve", Stream: "item/lamp", Data: []byte(`{"Item":"lamp","Order":"7"}`)})
	})
	if err != nil {
		panic(err)
	}
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}
	if err := runner.Drain(ctx); err != nil {
		panic(err)
	}
	show(ctx, log, "item/lamp")
	// Output:
	// item/lamp: shop.reserved {"Order":"7"}
}

// A Notifier tells other processes of commits through any Watermill publisher.
func ExampleNotifier() {
	ctx, stop := context.WithCancel(context.Background())
	store := memlog.NewStore()
	here, err := eventlog.Open(ctx, store.Open(), nil)
	if err != nil {
		panic(err)
	}
	defer here.Close()
	there, err := eventlog.Open(ctx, store.Open(), nil) // of another process
	if err != nil {
		panic(err)
	}
	defer there.Close()
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	defer broker.Close()

	done := make(chan error, 2)
	go func() { done <- (&outbox.Notifier{Log: here, Publisher: broker}).Run(ctx) }()
	go func() {
		done <- (&outbox.Runner{Log: there, Handlers: []outbox.Handler{reserve}, Wake: broker}).Run(ctx)
	}()
	order(ctx, here, "7", "lamp")
	for r, err := range there.Read(ctx, eventlog.Query{Stream: "item/lamp", Follow: true}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Stream, r.Type)
		break
	}
	stop()
	fmt.Println(<-done, <-done)
	// Output:
	// item/lamp shop.reserved
	// <nil> <nil>
}

// The timers of a log, the next one first.
func ExampleTimers() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
		if _, err := outbox.At(tx, time.Now().Add(48*time.Hour), Reserve{Item: "lamp", Order: "7"}); err != nil {
			return err
		}
		reminder := outbox.Timer{Target: "item/lamp", Name: "reminder"}
		return reminder.Set(tx, time.Now().Add(24*time.Hour), Reserve{Item: "lamp", Order: "8"})
	})
	if err != nil {
		panic(err)
	}
	for step, err := range outbox.Timers(ctx, log) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%q %s\n", step.Timer, step.Data)
	}
	// Output:
	// "reminder" {"Item":"lamp","Order":"8"}
	// "" {"Item":"lamp","Order":"7"}
}

// What happened to a dead letter, with each Entry of its history.
func ExampleLetter() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	order(ctx, log, "7", "unicorn")
	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{reserve}}
	if err := runner.Drain(ctx); err != nil {
		panic(err)
	}
	var id eventlog.ID
	for step, err := range outbox.Dead(ctx, log) {
		if err != nil {
			panic(err)
		}
		id = step.ID
	}
	_, err := outbox.Discard(ctx, log, outbox.Filter{ID: id}, outbox.Decision{By: "ann", Why: "the customer took a horse"})
	if err != nil {
		panic(err)
	}
	letter, err := outbox.ReadLetter(ctx, log, id)
	if err != nil {
		panic(err)
	}
	for _, e := range letter.History {
		fmt.Printf("%s %q %q\n", e.What, e.Err, e.Why)
	}
	// Output:
	// dead "there are no unicorns" ""
	// discarded "" "the customer took a horse"
}
