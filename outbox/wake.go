package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/doorbell"
)

// bells say which shards have moved since somebody looked.
type bells struct {
	rung chan struct{}
	mu   sync.Mutex
	list []ring
	any  bool
}

// A ring says who rang: a commit of this process can be looked up in memory.
type ring uint8

const (
	silent ring = iota
	own
	strange
)

func newBells(shards int) *bells {
	return &bells{rung: make(chan struct{}, 1), list: make([]ring, shards)}
}

func (b *bells) ring(shard int, who ring) {
	if shard < 0 || shard >= len(b.list) {
		return
	}
	b.mu.Lock()
	b.list[shard] = max(b.list[shard], who)
	first := !b.any
	b.any = true
	b.mu.Unlock()
	if first {
		select {
		case b.rung <- struct{}{}:
		default:
		}
	}
}

// take returns who rang for each shard, and silences the bells.
func (b *bells) take() []ring {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.any {
		return nil
	}
	out := b.list
	b.list, b.any = make([]ring, len(out)), false
	return out
}

// answer rings for a message. One that cannot be read may be about any shard.
func (b *bells) answer(m *message.Message) {
	bell, err := doorbell.Decode(m)
	if err == nil {
		b.ring(bell.Shard, strange)
		return
	}
	for s := range b.list {
		b.ring(s, strange)
	}
}

// hear connects a run's bells with who rings them, until the returned function
// is called.
func (r *Runner) hear(ctx context.Context, e *engine, work *sync.WaitGroup) (stop func()) {
	if r.Wake != nil {
		work.Go(func() { r.listen(ctx, e.bells) })
	}
	return r.Log.OnCommit(func(h driver.Head) { e.bells.ring(h.Shard, own) })
}

// listen rings for each message. When the subscription fails or ends it is
// renewed: until then the sweep does the work.
func (r *Runner) listen(ctx context.Context, b *bells) {
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

func (r *Runner) topic() string {
	if r.Topic == "" {
		return DefaultTopic
	}
	return r.Topic
}
