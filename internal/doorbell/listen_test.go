package doorbell_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/doorbell"
)

// moody is a subscriber that goes by a plan: an error fails, nil makes a
// subscription that ends at once. When the plan is through it works.
type moody struct {
	message.Subscriber
	plan []error
}

func (m *moody) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if len(m.plan) == 0 {
		return m.Subscriber.Subscribe(ctx, topic)
	}
	err := m.plan[0]
	m.plan = m.plan[1:]
	closed := make(chan *message.Message)
	close(closed)
	return closed, err
}

// Who listens without a router hears all that comes, whatever the subscriber
// does meanwhile, and is told.
func TestListen(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		line := doorbell.Line{Subscriber: &moody{Subscriber: h.bells, plan: []error{errTest, errTest, nil}}, Topic: "bells", Lost: func(err error) {
			if err == nil {
				h.hear("ended")
			} else {
				h.hear("failed")
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			line.Listen(ctx, func(m *message.Message) {
				h.hear("message")
				m.Ack()
			})
		}()
		time.Sleep(time.Minute) // of the bubble: three pauses
		h.ring(t, bell(1))
		h.expect(t, "failed", "failed", "ended", "message")
		cancel()
		<-done
	})
}
