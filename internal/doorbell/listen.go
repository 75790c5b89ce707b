package doorbell

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/jitter"
)

// A Line is where messages come from.
type Line struct {
	Subscriber message.Subscriber
	Topic      string
	// Lost is told when a subscription failed, with the error, or ended without
	// being asked to, with nil. It will be made again.
	Lost func(err error)
}

// Listen calls take for each message until ctx ends; take answers the message. A
// subscription that fails or ends is made again after a pause: who listens has
// other ways to find out meanwhile. It returns when the last subscription's
// channel is closed.
func (l *Line) Listen(ctx context.Context, take func(*message.Message)) {
	l.listen(ctx, nil, take)
}

// listen is Listen with the first subscription, where the caller has made it.
func (l *Line) listen(ctx context.Context, in <-chan *message.Message, take func(*message.Message)) {
	for failures := 0; ctx.Err() == nil; {
		var err error
		if in == nil {
			in, err = l.Subscriber.Subscribe(ctx, l.Topic)
		}
		if err == nil {
			for m := range in {
				failures = 0
				take(m)
			}
		}
		in = nil
		if ctx.Err() == nil {
			failures++
			l.Lost(err)
			Pause(ctx, failures)
		}
	}
}

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// Pause waits after the n-th failure in a row of a broker, or until ctx ends. It
// doubles up to ten seconds, and its second half is random.
func Pause(ctx context.Context, n int) {
	d := lastPause
	if n < 8 {
		d = min(d, firstPause<<(n-1))
	}
	jitter.Pause(ctx, d/2+jitter.N(d/2))
}
