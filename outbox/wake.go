package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
	b.mu.Lock()
	if shard < 0 || shard >= len(b.list) {
		b.mu.Unlock()
		return
	}
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

// answer rings for a message. One that is no bell may be about any shard.
func (b *bells) answer(bell doorbell.Bell, ok bool) {
	if ok {
		b.ring(bell.Shard, strange)
		return
	}
	b.mu.Lock()
	shards := len(b.list)
	b.mu.Unlock()
	for s := range shards {
		b.ring(s, strange)
	}
}

// hear connects a run's bells with who rings them, until the returned function
// is called.
func (r *Runner) hear(ctx context.Context, e *engine, work *sync.WaitGroup) (stop func()) {
	if r.Wake != nil {
		work.Go(func() { r.listen(ctx, e.bells) })
	}
	here := r.Log.OnCommit(func(h driver.Head) { e.bells.ring(h.Shard, own) })
	elsewhere := r.Log.OnMove(func(h driver.Head) { e.bells.ring(h.Shard, strange) })
	return func() {
		here()
		elsewhere()
	}
}

// listen rings for each message until ctx ends.
func (r *Runner) listen(ctx context.Context, b *bells) {
	topic := r.Topic
	if topic == "" {
		topic = DefaultTopic
	}
	line := doorbell.Line{Subscriber: r.Wake, Topic: topic, Lost: func(err error) {
		if r.Logger != nil {
			r.Logger.Warn("no notifications; the sweep finds the steps", "topic", topic, "err", err)
		}
	}}
	line.Listen(ctx, func(m *message.Message) {
		bell, err := doorbell.Decode(m)
		doorbell.Wake(r.Log, bell, err == nil)
		b.answer(bell, err == nil)
		m.Ack()
	})
}

// AddTo makes the runner a handler of a Watermill router of the user's: the
// router runs it, from its own Run until it is closed, in place of r.Run, and
// its Close waits until the batches in hand are finished. The notifications come
// from subscriber, of topic ("" is DefaultTopic), and pass the router's
// middleware; losing one costs latency and nothing else. nil: only what this
// process commits, and the sweep. Any number of runners may join one router.
//
// What r.Run would refuse at once, the router's Run returns. When the runner ends
// with an error, its handler ends, and the router with its last handler; the
// router's logger is told.
func (r *Runner) AddTo(router *message.Router, topic string, subscriber message.Subscriber) *message.Handler {
	return doorbell.Join(router, doorbell.Job{
		Name: "outbox", Topic: topic, Subscriber: subscriber,
		Check: r.checkRouted, Run: r.Run, Ring: r.ring,
	})
}

func (r *Runner) checkRouted() error {
	_, err := r.engine()
	if err == nil && r.Wake != nil {
		err = errors.New("a runner in a router takes its notifications from there: leave Wake nil")
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

func (r *Runner) ring(b doorbell.Bell, ok bool) {
	doorbell.Wake(r.Log, b, ok)
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.runs {
		e.bells.answer(b, ok)
	}
}
