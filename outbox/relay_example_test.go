package outbox_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Orders go to a topic that other programs subscribe to.
func ExampleRelay() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := openExample(ctx)
	defer log.Close()
	broker := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil)
	messages, err := broker.Subscribe(ctx, "orders")
	if err != nil {
		panic(err)
	}
	if _, err := log.Append(ctx, "order/7", nil, Ordered{"lamp"}, Reserved{"order/7"}, Ordered{"table"}); err != nil {
		panic(err)
	}

	relay := &outbox.Relay{Log: log, Name: "orders", Publisher: broker, Topic: "orders", Types: []string{"shop.ordered"}, Source: "/shop"}
	done := make(chan error)
	go func() { done <- relay.Run(ctx) }()
	for range 2 {
		m := <-messages
		fmt.Println(m.Metadata[outbox.MetadataType], m.Metadata[outbox.MetadataSource], m.Metadata[outbox.MetadataOrderingKey],
			m.Metadata[outbox.MetadataStreamVersion], string(m.Payload))
		m.Ack()
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// shop.ordered /shop order/7 1 {"Item":"lamp"}
	// shop.ordered /shop order/7 3 {"Item":"table"}
	// <nil>
}

// TopicOf spreads events over topics; hooks feed metrics.
func ExampleRelayHooks() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := openExample(ctx)
	defer log.Close()
	if _, err := log.Append(ctx, "order/7", nil, Ordered{"lamp"}, Reserved{"order/7"}); err != nil {
		panic(err)
	}
	published := make(chan string)
	relay := &outbox.Relay{Log: log, Name: "all", Publisher: gochannel.NewGoChannel(gochannel.Config{}, nil),
		TopicOf: func(r eventlog.Record) string { return r.Type },
		Hooks:   outbox.RelayHooks{Published: func(topic string, messages int, _ time.Duration) { published <- topic }}}
	done := make(chan error)
	go func() { done <- relay.Run(ctx) }()
	fmt.Println(<-published)
	fmt.Println(<-published)
	cancel()
	fmt.Println(<-done)
	// Output:
	// shop.ordered
	// shop.reserved
	// <nil>
}
