package outbox_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// For each order an item is to be reserved: the step is enqueued once, however
// often and wherever the reactor runs.
func ExampleReactor() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	for id, item := range map[string]string{"order/7": "lamp", "order/8": ""} {
		if _, err := log.Append(ctx, id, nil, Ordered{item}); err != nil {
			panic(err)
		}
	}

	reserving := &outbox.Reactor{Log: log, Name: "reserving", Types: []string{"shop.ordered"},
		React: func(tx *eventlog.Tx, r eventlog.Record) error {
			var o Ordered
			if err := r.Decode(&o); err != nil {
				return outbox.Abort(err)
			}
			if o.Item == "" {
				return outbox.Abort(errors.New("an order of nothing"))
			}
			return outbox.Enqueue(tx, Reserve{o.Item, r.Stream})
		}}
	for range 2 { // a service calls Run
		if err := reserving.Drain(ctx); err != nil {
			panic(err)
		}
	}
	for step, err := range outbox.Pending(ctx, log) {
		fmt.Println(step.Type, string(step.Data), err)
	}
	for e, err := range reserving.Skipped(ctx) {
		fmt.Println("skipped:", e.Stream, e.Err, err)
	}
	// Output:
	// shop.reserve {"Item":"lamp","Order":"order/7"} <nil>
	// skipped: order/8 an order of nothing <nil>
}

// Hooks feed metrics.
func ExampleReactorHooks() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	if _, err := log.Append(ctx, "order/7", nil, Ordered{"lamp"}, Ordered{"table"}); err != nil {
		panic(err)
	}
	total := 0
	r := &outbox.Reactor{Log: log, Name: "counting",
		React: func(tx *eventlog.Tx, r eventlog.Record) error { return nil },
		Hooks: outbox.ReactorHooks{Reacted: func(shard, events int) { total += events }}}
	if err := r.Drain(ctx); err != nil {
		panic(err)
	}
	list, err := r.Status(ctx)
	if err != nil {
		panic(err)
	}
	shard := list[log.ShardOf("order/7")]
	fmt.Println(total, "events, up to revision", shard.Revision)
	// Output:
	// 2 events, up to revision 1
}
