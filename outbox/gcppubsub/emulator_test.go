package gcppubsub_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// TestSuiteOnEmulator is Watermill's own, on Google's emulator.
func TestSuiteOnEmulator(t *testing.T) {
	suite(t, emulator.PubSub.Host(t), func(s *gcppubsub.Subscriber) message.Subscriber { return settled{s} })
}

// A settled subscriber gives the emulator time to get to know a stream, and its
// end: the suite publishes right behind it, and what the emulator hands to a stream
// that has gone comes again after ten seconds only, where the suite waits for
// fifteen.
type settled struct{ *gcppubsub.Subscriber }

const settling = 300 * time.Millisecond

func (s settled) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := s.Subscriber.Subscribe(ctx, topic)
	<-time.After(settling)
	return in, err
}

func (s settled) Close() error {
	err := s.Subscriber.Close()
	<-time.After(settling)
	return err
}
