package gcppubsub

import (
	"cmp"
	"errors"
	"time"
)

// SubscriberOptions are options of a Subscriber. What concerns how a subscription
// is made counts only where it is not there yet.
type SubscriberOptions struct {
	Connection Connection
	// Group is who shares the messages: all Subscribers of a Group have, for each
	// topic, the subscription TOPIC.GROUP. "": see Subscription.
	Group string
	// Subscription is the subscription, by its id or as projects/P/subscriptions/S,
	// where it has another name. It is that of one topic. With neither, each call of
	// Subscribe makes one of its own, which is deleted at its end.
	Subscription string

	// Unordered gives up the order of messages with the same ordering key, and with
	// it that the next one of a key waits for the one before it.
	Unordered bool
	// ExactlyOnce has Pub/Sub not deliver again what it has acknowledged to the
	// process, within a region. It costs latency.
	ExactlyOnce bool
	// Filter is which messages the subscription gets, in Pub/Sub's language, such as
	// attributes:ce-type. Emulators ignore it.
	Filter string
	// Expiry is after what time without a Subscriber Pub/Sub deletes the
	// subscription, a day at least: 0 is a day for one of its own, and never for a
	// shared one.
	Expiry time.Duration
	// Retention is for how long messages are kept for which there is nobody, from ten
	// minutes to a week: 0 is ten minutes for a subscription of its own, and a week
	// for a shared one.
	Retention time.Duration
	// Lease is when a message is delivered again whose process has died (30 s; from
	// 10 s to 10 min). It is renewed for as long as the message is in hand, and that
	// for Extension at most (an hour).
	Lease, Extension time.Duration
	// Backoff is the pause before a message is delivered again that was nacked (1 s).
	// It grows with each time, up to MaxBackoff (a minute). Negative: at once.
	Backoff, MaxBackoff time.Duration
	// DeadLetter is a topic that takes messages which were delivered Attempts times
	// (5; from 5 to 100) and never acknowledged; "" is none. It gets a subscription
	// of the same name, if it is made here, so that nothing is lost that comes to it.
	DeadLetter string
	Attempts   int

	// Outstanding is how many messages, and OutstandingBytes what size, are in hand
	// at most (1,000 and 64 MB).
	Outstanding, OutstandingBytes int
	// Streams is over how many streams messages come (1).
	Streams int
}

var errRange = errors.New("out of range: Lease is 10 s to 10 min, Expiry a day at least, Retention 10 min to 7 days, Attempts 5 to 100, and no number is negative")

func (o *SubscriberOptions) complete() (out SubscriberOptions, err error) {
	if o != nil {
		out = *o
	}
	out.defaults()
	switch {
	case out.Group != "" && out.Subscription != "":
		return out, errors.New("a Group and a Subscription: want one of them, or none")
	case out.own() && out.Connection.MustExist:
		return out, errors.New("MustExist without a Group or a Subscription: one of its own has to be made")
	case !out.inRange():
		return out, errRange
	}
	out.Connection, err = out.Connection.complete()
	return out, err
}

const day = 24 * time.Hour

func (o *SubscriberOptions) defaults() {
	if o.own() {
		o.Expiry = cmp.Or(o.Expiry, day)
		o.Retention = cmp.Or(o.Retention, 10*time.Minute)
	}
	o.Retention = cmp.Or(o.Retention, 7*day)
	o.Lease = cmp.Or(o.Lease, 30*time.Second)
	o.Extension = cmp.Or(o.Extension, time.Hour)
	o.Backoff = cmp.Or(o.Backoff, time.Second)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, max(time.Minute, o.Backoff))
	o.Attempts = cmp.Or(o.Attempts, 5)
	o.Outstanding = cmp.Or(o.Outstanding, 1000)
	o.OutstandingBytes = cmp.Or(o.OutstandingBytes, 64<<20)
	o.Streams = cmp.Or(o.Streams, 1)
}

func (o *SubscriberOptions) inRange() bool {
	return o.Lease >= 10*time.Second && o.Lease <= 10*time.Minute && o.Extension > 0 &&
		(o.Expiry == 0 || o.Expiry >= day) && o.Retention >= 10*time.Minute && o.Retention <= 7*day &&
		(o.Backoff < 0 || o.MaxBackoff >= o.Backoff && o.MaxBackoff <= 10*time.Minute) &&
		o.Attempts >= 5 && o.Attempts <= 100 && o.Outstanding > 0 && o.OutstandingBytes > 0 && o.Streams > 0
}

// own reports whether each call of Subscribe has a subscription of its own.
func (o *SubscriberOptions) own() bool { return o.Group == "" && o.Subscription == "" }
