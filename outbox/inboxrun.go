package outbox

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// run subscribes again and again, until ctx ends.
func (h *inbox) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hand, release := lease.Linger(ctx, h.grace)
	defer release() // ends the subscription
	r := &inboxRun{inbox: h, ctx: ctx, hand: hand, fatal: make(chan error, 1)}
	err := r.receive()
	stop()
	r.finish()
	return err
}

// An inboxRun is one Run of an inbox. hand is the context of the work in hand,
// and of the subscription: messages are acked before it ends.
type inboxRun struct {
	*inbox
	ctx, hand context.Context
	work      sync.WaitGroup
	fatal     chan error
}

func (r *inboxRun) receive() error {
	for attempt := 1; r.ctx.Err() == nil; attempt++ {
		messages, err := r.subscriber.Subscribe(r.hand, r.topic)
		if err == nil {
			var n int
			n, err = r.take(messages)
			if lease.Fatal(err) {
				return err
			}
			if n > 0 {
				attempt = 1
			}
			if err == nil {
				err = errors.New("the subscription has ended")
			}
		}
		if r.ctx.Err() != nil {
			break
		}
		r.deaf(err)
		r.logger.Warn("no messages; subscribing again", "topic", r.topic, "err", err)
		jitter.Pause(r.ctx, faults.delay(attempt))
	}
	return nil
}

// take takes messages in hand until the subscription ends, ctx does, or the log
// is no more.
func (r *inboxRun) take(messages <-chan *message.Message) (n int, err error) {
	r.hears()
	for {
		select {
		case r.hands <- struct{}{}:
		case err := <-r.fatal:
			return n, err
		case <-r.ctx.Done():
			return n, nil
		}
		select {
		case m, ok := <-messages:
			if !ok {
				<-r.hands
				return n, nil
			}
			n++
			r.work.Go(func() {
				defer func() { <-r.hands }()
				r.answer(m)
			})
			continue
		case err = <-r.fatal:
		case <-r.ctx.Done():
		}
		<-r.hands
		return n, err
	}
}

// answer takes a message and tells the broker.
func (r *inboxRun) answer(m *message.Message) {
	err := r.inbox.take(r.ctx, r.hand, m)
	if err == nil {
		m.Ack()
		return
	}
	m.Nack()
	if lease.Fatal(err) {
		select {
		case r.fatal <- err:
		default:
		}
	}
}

// finish waits for the messages in hand, as long as they may take.
func (r *inboxRun) finish() {
	done := make(chan struct{})
	go func() {
		r.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-r.hand.Done():
	}
}
