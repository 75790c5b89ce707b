package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
)

// An Inbox makes steps of the messages of any Watermill subscriber: of each
// message one step, however often it is delivered, to however many inboxes of a
// Name. A message is known by the id and source of its CloudEvent (binary mode,
// with ce- or ce_ before the names, or structured as JSON), or else by its UUID.
// The id is recorded in the commit of the step, and the message is acked when
// that is durable. Log, Name and Step are required, and for Run also Subscriber
// and Topic; an Inbox must not be copied once used.
//
// Messages are handled side by side, and share durable writes. Those with the
// same partition key ([MetadataOrderingKey]), of which an ordered subscriber
// delivers one at a time, become steps in their order.
type Inbox struct {
	Log *eventlog.Log
	// Name is stored: it stands for which messages have been taken. No slash, at
	// most 200 bytes.
	Name       string
	Subscriber message.Subscriber
	Topic      string
	// Step says what a message is to become; nil without an error is nothing: the
	// message is acked and leaves no trace. It must not have effects, and should heed
	// m.Context(). An error that wraps [Abort] refuses the message for good, and so
	// does a step that cannot be enqueued: it is recorded, see [Inbox.Refused], and
	// acked. After any other error, or a panic, the message is nacked.
	Step func(m *message.Message) (Step, error)
	// Concurrency is how many messages are handled at a time (64).
	Concurrency int
	// Grace is how long messages in hand may take once Run's ctx has ended (5 s);
	// Steps that have not returned by then are left behind.
	Grace time.Duration
	// Backoff is the pause before a message is nacked for the first time (100 ms). It
	// doubles with each time up to MaxBackoff (a minute).
	Backoff, MaxBackoff time.Duration
	// Logger gets messages that fail or are refused, and subscriptions that end. nil
	// is silent.
	Logger *slog.Logger
	Hooks  InboxHooks

	mu   sync.Mutex
	live map[*inbox]struct{}
}

// InboxHooks observe an Inbox, for metrics. They are called by several goroutines
// and must return quickly.
type InboxHooks struct {
	// Taken is called when a message became a step, and when it had been taken before.
	Taken func(m *message.Message, before bool)
	// Refused is called when a message was refused for good.
	Refused func(m *message.Message, err error)
	// Failed is called after each attempt that failed.
	Failed func(m *message.Message, attempt int, err error)
}

// Run takes messages until ctx ends; then it finishes those in hand and returns
// nil. It returns an error at once when the Inbox is not valid, and later only
// when going on makes no sense: the log was closed or is damaged. A subscription
// that fails or ends is renewed.
func (i *Inbox) Run(ctx context.Context) error {
	h, err := i.ready(true)
	if err != nil {
		return fmt.Errorf("outbox: inbox %s: %w", i.Name, err)
	}
	defer i.runs(h)()
	if err := h.run(ctx); err != nil {
		return fmt.Errorf("outbox: inbox %s: %w", i.Name, err)
	}
	return nil
}

// AddTo makes the Inbox a handler of a Watermill router of the user's, so that the
// router's middleware applies to the messages of topic that subscriber brings.
// Run is not needed then, and Subscriber and Topic are not used. What Run would
// refuse at once, the router's Run returns. Middleware that takes errors away, as
// a poison queue does, takes the duty for the message with them.
func (i *Inbox) AddTo(router *message.Router, topic string, subscriber message.Subscriber) *message.Handler {
	h, err := i.ready(false)
	if err != nil {
		router.AddPlugin(func(*message.Router) error { return fmt.Errorf("outbox: inbox %s: %w", i.Name, err) })
	} else {
		h.topic = topic
		i.runs(h)
	}
	return router.AddConsumerHandler("inbox-"+i.Name, topic, subscriber, func(m *message.Message) error {
		if err != nil {
			return err
		}
		return h.take(m.Context(), m.Context(), m)
	})
}

// runs keeps h for Health.
func (i *Inbox) runs(h *inbox) (end func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.live == nil {
		i.live = make(map[*inbox]struct{})
	}
	i.live[h] = struct{}{}
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.live, h)
	}
}

// Check reports what is wrong with the fields: what Run would refuse at once.
func (i *Inbox) Check() error {
	if _, err := i.ready(true); err != nil {
		return fmt.Errorf("outbox: inbox %s: %w", i.Name, err)
	}
	return nil
}
