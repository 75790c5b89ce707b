package gcppubsub

import (
	"context"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/doorbell"
)

// A subscription is one call of Subscribe. It has a client of its own: when the
// server is away, only to close the client ends a Receive.
type subscription struct {
	options    *SubscriberOptions
	client     *pubsub.Client
	topic      string // full
	name       string // full
	deadLetter string // full topic, or ""
	out        chan *message.Message

	ctx    context.Context // of the call, until Close
	cancel context.CancelFunc
	heard  bool // a message came since the last failure
}

// serve receives until ctx ends.
func (s *subscription) serve() {
	failures := 0
	for s.ctx.Err() == nil {
		err := s.receive()
		if s.ctx.Err() != nil {
			return
		}
		if s.heard {
			failures = 0
		}
		s.heard = false
		for failures++; s.ctx.Err() == nil; failures++ {
			s.options.Connection.Logger.Warn("pubsub: no messages; subscribing again", "subscription", s.name, "err", err)
			doorbell.Pause(s.ctx, failures)
			if err = s.ensure(s.ctx); err == nil {
				break
			}
		}
	}
}

// receive receives until ctx ends or the subscription fails for good. A server
// that is away is no failure, but when ctx ends then, the library would wait for
// it: after the grace the client is closed.
func (s *subscription) receive() error {
	r := s.client.Subscriber(s.name)
	o := s.options
	r.ReceiveSettings = pubsub.ReceiveSettings{MaxExtension: o.Extension, MaxDurationPerAckExtension: o.Lease,
		MaxOutstandingMessages: o.Outstanding, MaxOutstandingBytes: o.OutstandingBytes, NumGoroutines: o.Streams}
	ended := make(chan error, 1)
	heard := make(chan struct{}, 1)
	go func() {
		ended <- r.Receive(s.ctx, func(ctx context.Context, m *pubsub.Message) {
			select {
			case heard <- struct{}{}:
			default:
			}
			s.take(ctx, m)
		})
	}()
	defer func() { s.heard = len(heard) > 0 }()
	select {
	case err := <-ended:
		return err
	case <-s.ctx.Done():
	}
	timer := time.NewTimer(o.Connection.Grace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		_ = s.client.Close()
		return <-ended
	}
}

// take hands a message over and waits for the answer.
func (s *subscription) take(ctx context.Context, from *pubsub.Message) {
	mctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := decode(mctx, from)
	select {
	case s.out <- m:
	case <-ctx.Done():
		from.Nack()
		return
	}
	select {
	case <-m.Acked():
	case <-m.Nacked():
	case <-ctx.Done():
	}
	select {
	case <-m.Acked(): // also when ctx has ended
		s.ack(from)
	default:
		from.Nack()
	}
}

// ack acknowledges a message. With exactly-once delivery the answer counts.
func (s *subscription) ack(m *pubsub.Message) {
	if !s.options.ExactlyOnce {
		m.Ack()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.options.Connection.Timeout)
	defer cancel()
	if _, err := m.AckWithResult().Get(ctx); err != nil {
		s.options.Connection.Logger.Warn("pubsub: a message was acknowledged and may come again", "subscription", s.name, "message", m.ID, "err", err)
	}
}

// end closes the channel and the connection, and deletes the subscription if it
// was its own.
func (s *subscription) end() {
	s.cancel()
	close(s.out)
	s.remove()
	_ = s.client.Close()
}
