package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/doorbell"
)

// AddTo makes the runner a handler of a Watermill router of the user's: the
// router runs it, from its own Run until it is closed, in place of r.Run, and
// its Close waits until the transactions in hand are finished. The doorbells come
// from subscriber, of topic ("" is the default topic), and pass the router's
// middleware; losing one costs latency and nothing else. nil: the log's own ways.
// Any number of runners may join one router.
//
// What r.Run would refuse at once, the router's Run returns. When all projections
// have stopped the handler ends, and the router with its last handler; why, its
// logger is told, and Status says.
func (r *Runner[T]) AddTo(router *message.Router, topic string, subscriber message.Subscriber) *message.Handler {
	return doorbell.Join(router, doorbell.Job{
		Name: r.handlerName(), Topic: topic, Subscriber: subscriber,
		Check: r.checkRouted, Run: r.Run, Ring: r.ring,
	})
}

// handlerName is how routers know the runner.
func (r *Runner[T]) handlerName() string {
	names := make([]string, len(r.Projections))
	for i := range r.Projections {
		names[i] = r.Projections[i].Name
	}
	return "projection." + strings.Join(names, ",")
}

func (r *Runner[T]) checkRouted() error {
	err := r.check()
	if err == nil && r.Wake != nil {
		err = errors.New("a runner in a router takes its doorbells from there: leave Wake nil")
	}
	if err != nil {
		return fmt.Errorf("projection: %w", err)
	}
	return nil
}

// listen takes doorbells until ctx ends.
func (r *Runner[T]) listen(ctx context.Context) {
	topic := r.Topic
	if topic == "" {
		topic = doorbell.Topic
	}
	line := doorbell.Line{Subscriber: r.Wake, Topic: topic, Lost: func(err error) {
		r.logger().Warn("projection: no doorbell", "topic", topic, "error", err)
	}}
	line.Listen(ctx, func(m *message.Message) {
		b, err := doorbell.Decode(m)
		r.ring(b, err == nil)
		m.Ack()
	})
}

// ring makes the log look.
func (r *Runner[T]) ring(b doorbell.Bell, ok bool) { doorbell.Wake(r.Log, b, ok) }
