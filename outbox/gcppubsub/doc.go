// Package gcppubsub is a Watermill Publisher and Subscriber on Google Cloud
// Pub/Sub: for the doorbells of an outbox.Notifier, and for the events of an
// outbox.Relay and the messages of an outbox.Inbox.
//
//	pub, err := gcppubsub.OpenPublisher(ctx, "my-project", nil)
//	sub, err := gcppubsub.OpenSubscriber(ctx, "my-project", nil)                                    // a doorbell: each one hears everything
//	sub, err := gcppubsub.OpenSubscriber(ctx, "my-project", &gcppubsub.SubscriberOptions{Group: "billing"}) // these share the messages
//
// Publish returns when Pub/Sub has taken all messages of the call, which travel
// in batches and not one after the other. Those with the same ordering key
// ([PublisherOptions].Key; the partition key of a Relay's events) are delivered
// in their order; after a failure the key goes on, with the next call.
//
// A topic or subscription that is not there is made, unless Connection.MustExist
// forbids it. Which subscription a Subscriber has decides who gets what:
//
//   - by default one of its own for each call of Subscribe, which gets what is
//     published from then on, is deleted at its end, and by Pub/Sub after a day when
//     its process died. That is what a doorbell needs: every process that holds
//     shards is woken.
//   - with Group, or a name given with Subscription, one that all who name it
//     share: each message goes to one of them, and waits while there is nobody.
//
// A message is delivered at least once, also with ExactlyOnce when the process
// dies behind its work: what must happen once is for the log to decide, with an
// Inbox. When the server is away, Publish waits and then fails, and subscriptions
// go on by themselves within seconds of its return. Close leaves nothing behind,
// and does not wait for a server that is away longer than Grace.
//
// The variable PUBSUB_EMULATOR_HOST leads to an emulator, GOOGLE_CLOUD_PROJECT
// names the project where "" is given.
package gcppubsub
