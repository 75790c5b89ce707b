package projection

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/doorbell"
)

// AddTo adds the doorbell to a Watermill router of the user's, as a handler
// called name that takes messages of Topic from Wake. It is for a Runner whose
// messages shall pass the router's middleware. Run goes on its own, and must not
// listen itself then: AddTo takes Wake out of the Runner. Call it before Run.
func (r *Runner[T]) AddTo(router *message.Router, name string) {
	router.AddConsumerHandler(name, r.topic(), r.Wake, func(m *message.Message) error {
		r.ring(m)
		return nil
	})
	r.Wake = nil
}

// listen takes doorbells until ctx ends. A subscription that fails or ends is
// made again: meanwhile the log's own ways have to do.
func (r *Runner[T]) listen(ctx context.Context) {
	for n := 1; ctx.Err() == nil; n++ {
		bells, err := r.Wake.Subscribe(ctx, r.topic())
		if err == nil {
			for m := range bells {
				n = 0
				r.ring(m)
				m.Ack()
			}
		}
		if ctx.Err() == nil {
			r.logger().Warn("projection: no doorbell", "topic", r.topic(), "error", err)
			pause(ctx, backoff(r.firstBackoff(), max(n, 1)))
		}
	}
}

// ring passes one message on. What is no doorbell is dropped: it will be none
// the next time either.
func (r *Runner[T]) ring(m *message.Message) {
	b, err := doorbell.Decode(m)
	if err != nil {
		r.logger().Warn("projection: not a doorbell", "topic", r.topic(), "error", err)
		return
	}
	r.Log.Wake(b.Shard, b.Revision)
}

func (r *Runner[T]) topic() string {
	if r.Topic == "" {
		return doorbell.Topic
	}
	return r.Topic
}
