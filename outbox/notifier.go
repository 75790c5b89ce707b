package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/doorbell"
)

// A Notifier publishes a small message after each durable commit of its
// process: which shard of which log has reached which revision. Runners in other
// processes take it for a doorbell, so a message that is lost, late or doubled
// costs latency and never work. Publisher and Log are required.
type Notifier struct {
	Log       *eventlog.Log
	Publisher message.Publisher
	// Topic to publish to; "" is DefaultTopic.
	Topic string
	// Name is put into the messages, for topics that several logs share.
	Name string
	// Logger gets what could not be published. nil is silent.
	Logger *slog.Logger
}

// Run publishes until ctx ends, then once more what is left, and returns nil. It
// never holds up a writer: what is committed while a message is being published
// is merged into one message for each shard.
func (n *Notifier) Run(ctx context.Context) error {
	run, err := n.Attach()
	if err != nil {
		return err
	}
	return run(ctx)
}

// Attach is Run in two parts: the Notifier hears of what is committed from now on,
// and the returned function, which must be called once, publishes it as Run does.
// Where Run is started in a goroutine, what is committed before that one gets to
// run is not told.
func (n *Notifier) Attach() (run func(ctx context.Context) error, err error) {
	if n.Log == nil || n.Publisher == nil {
		return nil, errors.New("outbox: a Notifier needs a Log and a Publisher")
	}
	news := &heads{bell: make(chan struct{}, 1)}
	stop := n.Log.OnCommit(news.add)
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			select {
			case <-news.bell:
				n.publish(news.take())
			case <-ctx.Done():
			}
		}
		stop()
		n.publish(news.take())
		return nil
	}, nil
}

func (n *Notifier) publish(revisions map[int]driver.Revision) {
	if len(revisions) == 0 {
		return
	}
	topic := n.Topic
	if topic == "" {
		topic = DefaultTopic
	}
	messages := make([]*message.Message, 0, len(revisions))
	for shard, rev := range revisions {
		messages = append(messages, doorbell.Encode(doorbell.Bell{Log: n.Name, Shard: shard, Revision: rev}))
	}
	if err := n.Publisher.Publish(topic, messages...); err != nil && n.Logger != nil {
		n.Logger.Warn("a notification was not published", "topic", topic, "shards", len(revisions), "err", err)
	}
}

// heads collects the last revision of each shard.
type heads struct {
	bell chan struct{}
	mu   sync.Mutex
	last map[int]driver.Revision
}

func (h *heads) add(head driver.Head) {
	h.mu.Lock()
	if h.last == nil {
		h.last = make(map[int]driver.Revision)
	}
	h.last[head.Shard] = max(h.last[head.Shard], head.Revision)
	h.mu.Unlock()
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

func (h *heads) take() map[int]driver.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.last
	h.last = nil
	return out
}
