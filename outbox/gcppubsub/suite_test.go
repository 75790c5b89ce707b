package gcppubsub_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// TestSuite is Watermill's own, on the fake.
func TestSuite(t *testing.T) {
	suite(t, fake(t).Addr, func(s *gcppubsub.Subscriber) message.Subscriber { return s })
}

// suite runs Watermill's suite with the features that this package claims: groups,
// messages that wait for their subscriber, and the order of those with the same
// key, which in the tests of order is the payload.
func suite(t *testing.T, addr string, wrap func(*gcppubsub.Subscriber) message.Subscriber) {
	features := tests.Features{ConsumerGroups: true, GuaranteedOrder: true, GuaranteedOrderWithSingleSubscriber: true, Persistent: true, ForceShort: true}
	of := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		c := to(t, addr)
		c.Logger = nil
		p, err := gcppubsub.OpenPublisher(t.Context(), "p", &gcppubsub.PublisherOptions{Connection: c,
			Key: func(_ string, m *message.Message) string {
				if ordered := regexp.MustCompile("InOrder|NoAck"); !ordered.MatchString(t.Name()) {
					return ""
				}
				return string(m.Payload)
			}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := gcppubsub.OpenSubscriber("p", &gcppubsub.SubscriberOptions{Connection: c, Group: group, Backoff: -1,
			Lease:   10 * time.Second, // what the fake has sent to a stream that ended meanwhile comes again after that
			Streams: 10})              // the fake hands over a message at a time to each stream
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the suite forgets some
			if err := errors.Join(p.Close(), s.Close()); err != nil {
				t.Error(err)
			}
		})
		return p, wrap(s)
	}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) { return of(t, "all") }, of)
}
