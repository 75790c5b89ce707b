package gcppubsub_test

import (
	"context"
	"fmt"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// Those of a group share the messages; those with one key come in order.
func Example() {
	ctx := context.Background()
	server := pstest.NewServer() // in a program: Google's, or that of PUBSUB_EMULATOR_HOST
	defer server.Close()
	at := gcppubsub.Connection{Emulator: server.Addr}

	sub, err := gcppubsub.OpenSubscriber("my-project", &gcppubsub.SubscriberOptions{Connection: at, Group: "billing"})
	if err != nil {
		panic(err)
	}
	defer sub.Close()
	messages, err := sub.Subscribe(ctx, "orders")
	if err != nil {
		panic(err)
	}

	pub, err := gcppubsub.OpenPublisher(ctx, "my-project", &gcppubsub.PublisherOptions{Connection: at,
		Key: func(_ string, m *message.Message) string { return m.Metadata["customer"] }})
	if err != nil {
		panic(err)
	}
	defer pub.Close()
	one, two := message.NewMessage("1", []byte("a lamp")), message.NewMessage("2", []byte("a bulb"))
	one.Metadata["customer"], two.Metadata["customer"] = "ada", "ada"
	if err := pub.Publish("orders", one, two); err != nil {
		panic(err)
	}

	for range 2 {
		m := <-messages
		d, _ := gcppubsub.DeliveryOf(m)
		fmt.Println(m.UUID, string(m.Payload), d.Key)
		m.Ack()
	}
	// Output:
	// 1 a lamp ada
	// 2 a bulb ada
}

func ExampleParseURL() {
	a, err := gcppubsub.ParseURL("pubsub://my-project/bells")
	fmt.Println(a.Project, a.Topic, err)
	_, err = gcppubsub.ParseURL("pubsub://my-project/b")
	fmt.Println(err)
	// Output:
	// my-project bells <nil>
	// gcppubsub: "pubsub://my-project/b": "b" is no name in topics: want a letter and 2 to 254 letters, digits or ._~+%-, and not goog at the start (want pubsub://PROJECT/TOPIC, with ?subscription=NAME and &create=false if wanted)
}
