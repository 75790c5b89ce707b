package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/doorbell"
)

// bells are the doorbells of a run's dispatchers, by shard. One that rings
// already is enough.
type bells []chan struct{}

func newBells(shards int) bells {
	b := make(bells, shards)
	for s := range b {
		b[s] = make(chan struct{}, 1)
	}
	return b
}

func (b bells) ring(shard int) {
	if shard < 0 || shard >= len(b) {
		return
	}
	select {
	case b[shard] <- struct{}{}:
	default:
	}
}

// answer rings for a message. One that cannot be read may be about any shard.
func (b bells) answer(m *message.Message) {
	bell, err := doorbell.Decode(m)
	if err == nil {
		b.ring(bell.Shard)
		return
	}
	for s := range b {
		b.ring(s)
	}
}

// hear connects a run's bells with who rings them, until the returned function
// is called.
func (r *Runner) hear(ctx context.Context, b bells, work *sync.WaitGroup) (stop func()) {
	r.mu.Lock()
	if r.bells == nil {
		r.bells = make(map[*bells]struct{})
	}
	r.bells[&b] = struct{}{}
	r.mu.Unlock()
	deaf := r.Log.OnCommit(func(h driver.Head) { b.ring(h.Shard) })
	if r.Wake != nil {
		work.Go(func() { r.listen(ctx, b) })
	}
	return func() {
		deaf()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.bells, &b)
	}
}

// listen rings for each message. When the subscription fails or ends it is
// renewed: until then the sweep does the work.
func (r *Runner) listen(ctx context.Context, b bells) {
	topic := r.topic()
	for attempt := 1; ctx.Err() == nil; attempt++ {
		messages, err := r.Wake.Subscribe(ctx, topic)
		if err == nil {
			for m := range messages {
				attempt = 0
				b.answer(m)
				m.Ack()
			}
		}
		if ctx.Err() == nil && r.Logger != nil {
			r.Logger.Warn("no notifications; the sweep finds the steps", "topic", topic, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(faults.delay(max(attempt, 1))):
		}
	}
}

// AddTo adds the doorbell to a Watermill router of the user's, as a handler
// called name that takes the messages of Topic from Wake, so that the router's
// middleware applies to them. Run does the work and must run as well, but does
// not listen itself then: AddTo takes Wake out of the Runner. Call it before Run.
func (r *Runner) AddTo(router *message.Router, name string) {
	router.AddConsumerHandler(name, r.topic(), r.Wake, func(m *message.Message) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for b := range r.bells {
			b.answer(m)
		}
		return nil
	})
	r.Wake = nil
}

func (r *Runner) topic() string {
	if r.Topic == "" {
		return DefaultTopic
	}
	return r.Topic
}
