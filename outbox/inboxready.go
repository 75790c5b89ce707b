package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
)

// An inbox is an Inbox made ready: its options filled in.
type inbox struct {
	Log        *eventlog.Log
	name       string
	subscriber message.Subscriber
	topic      string
	step       func(m *message.Message) (Step, error)
	grace      time.Duration
	pauses     Policy
	logger     *slog.Logger
	hooks      InboxHooks
	slots      chan struct{} // for messages that are worked on
	hands      chan struct{} // for messages in hand, those included that wait to be nacked
	inboxTroubles
}

// inboxWaits is how many messages in hand wait to be nacked, for each that is worked
// on.
const inboxWaits = 16

// ready fills the defaults in and refuses what makes no sense.
func (i *Inbox) ready(alone bool) (*inbox, error) {
	if i.Log == nil || i.Step == nil {
		return nil, errors.New("an Inbox needs a Log and a Step")
	}
	if err := checkReaderName(i.Name); err != nil {
		return nil, err
	}
	if alone && (i.Subscriber == nil || i.Topic == "") {
		return nil, errors.New("to Run, an Inbox needs a Subscriber and a Topic")
	}
	h := &inbox{Log: i.Log, name: i.Name, subscriber: i.Subscriber, topic: i.Topic, step: i.Step, grace: i.Grace,
		pauses: Policy{Backoff: i.Backoff, MaxBackoff: i.MaxBackoff}, logger: i.Logger, hooks: i.Hooks}
	n := i.Concurrency
	if n < 0 || n > 10_000 {
		return nil, fmt.Errorf("option Concurrency is %d: 1 to 10000", n)
	}
	if n == 0 {
		n = 64
	}
	h.slots, h.hands = make(chan struct{}, n), make(chan struct{}, n*inboxWaits)
	if h.grace < 0 || h.grace > time.Hour {
		return nil, fmt.Errorf("option Grace is %v: up to %v", h.grace, time.Hour)
	}
	if h.grace == 0 {
		h.grace = 5 * time.Second
	}
	if h.pauses.Backoff < 0 || h.pauses.MaxBackoff < 0 {
		return nil, errors.New("options Backoff and MaxBackoff cannot be negative")
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	h.logger = h.logger.With("inbox", h.name)
	h.failing = make(map[inboxKey]*inboxFailure)
	return h, nil
}
