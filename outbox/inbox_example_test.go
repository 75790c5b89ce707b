package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/outbox"
)

// reserving makes the step Reserve of a message.
func reserving(m *message.Message) (outbox.Step, error) {
	var r Reserve
	if err := json.Unmarshal(m.Payload, &r); err != nil {
		return nil, outbox.Abort(err)
	}
	return r, nil
}

// A message that is delivered twice becomes one step.
func ExampleInbox() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := openExample(ctx)
	defer log.Close()
	broker := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
	for range 2 {
		m := message.NewMessage("1", []byte(`{"Item": "lamp", "Order": "7"}`))
		m.Metadata[outbox.MetadataID], m.Metadata[outbox.MetadataSource] = "order-7", "/shop"
		if err := broker.Publish("reservations", m); err != nil {
			panic(err)
		}
	}

	taken := make(chan bool)
	inbox := &outbox.Inbox{Log: log, Name: "reservations", Subscriber: broker, Topic: "reservations", Step: reserving,
		Hooks: outbox.InboxHooks{Taken: func(_ *message.Message, before bool) { taken <- before }}}
	done := make(chan error)
	go func() { done <- inbox.Run(ctx) }()
	<-taken
	<-taken
	cancel()
	fmt.Println(<-done)
	for step, err := range outbox.Pending(context.Background(), log) {
		fmt.Println(step.Type, step.Target, string(step.Data), err)
	}
	// Output:
	// <nil>
	// shop.reserve item/lamp {"Item":"lamp","Order":"7"} <nil>
}

// In a Watermill router the user's middleware applies.
func ExampleInbox_AddTo() {
	ctx := context.Background()
	log := openExample(ctx)
	defer log.Close()
	broker := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
	if err := broker.Publish("reservations", message.NewMessage(watermill.NewUUID(), []byte(`{"Item": "lamp", "Order": "7"}`))); err != nil {
		panic(err)
	}

	router, err := message.NewRouter(message.RouterConfig{}, nil)
	if err != nil {
		panic(err)
	}
	inbox := &outbox.Inbox{Log: log, Name: "reservations", Step: reserving}
	handled := make(chan error)
	inbox.AddTo(router, "reservations", broker).AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			_, err := next(m)
			handled <- err
			return nil, err
		}
	})
	go func() {
		if err := router.Run(ctx); err != nil {
			panic(err)
		}
	}()
	fmt.Println(<-handled)
	if err := router.Close(); err != nil {
		panic(err)
	}
	for step, err := range outbox.Pending(ctx, log) {
		fmt.Println(step.Type, step.Target, err)
	}
	// Output:
	// <nil>
	// shop.reserve item/lamp <nil>
}

// What is refused for good is kept, and may be sent again once the fault is
// mended.
func ExampleRefusedMessage() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := openExample(ctx)
	defer log.Close()
	broker := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
	if err := broker.Publish("reservations", message.NewMessage("1", []byte("a lamp"))); err != nil {
		panic(err)
	}

	refused := make(chan error, 1)
	inbox := &outbox.Inbox{Log: log, Name: "reservations", Subscriber: broker, Topic: "reservations", Step: reserving,
		Hooks: outbox.InboxHooks{Refused: func(_ *message.Message, err error) { refused <- err }}}
	done := make(chan error)
	go func() { done <- inbox.Run(ctx) }()
	var syntax *json.SyntaxError
	fmt.Println(errors.As(<-refused, &syntax))
	cancel()
	fmt.Println(<-done)
	for r, err := range inbox.Refused(context.Background()) {
		fmt.Printf("%s: %s: %q %v\n", r.UUID, r.Err, r.Message().Payload, err)
	}
	// Output:
	// true
	// <nil>
	// 1: invalid character 'a' looking for beginning of value: "a lamp" <nil>
}
