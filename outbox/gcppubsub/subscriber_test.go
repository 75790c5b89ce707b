package gcppubsub_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// onBoth runs a test on the fake and on Google's emulator.
func onBoth(t *testing.T, test func(t *testing.T, c gcppubsub.Connection, topic string)) {
	t.Parallel()
	for name, host := range map[string]func(t *testing.T) string{
		"fake":     func(t *testing.T) string { return fake(t).Addr },
		"emulator": func(t *testing.T) string { return emulator.PubSub.Host(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, to(t, host(t)), emulator.Project()) // a topic of its own
		})
	}
}

// subscriptions lists those that the server has.
func subscriptions(t testing.TB, s *pstest.Server) []*pubsubpb.Subscription {
	t.Helper()
	list, err := s.GServer.ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: "projects/p"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Subscriptions
}

// TestOwnSubscriptions: without a group everybody hears everything, and leaves
// nothing behind.
func TestOwnSubscriptions(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		p := publisher(t, gcppubsub.PublisherOptions{Connection: c})
		one, two := subscriber(t, gcppubsub.SubscriberOptions{Connection: c}), subscriber(t, gcppubsub.SubscriberOptions{Connection: c})
		for _, in := range []<-chan *message.Message{subscribe(t, one, topic), subscribe(t, one, topic), subscribe(t, two, topic)} {
			defer func() {
				if got := acked(t, in); got != "bell" {
					t.Errorf("it hears %q", got)
				}
			}()
		}
		publish(t, p, topic, text("bell", ""))
	})
}

func TestOwnSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	s := fake(t)
	sub := subscriber(t, gcppubsub.SubscriberOptions{Connection: to(t, s.Addr)})
	ctx, cancel := context.WithCancel(t.Context())
	in, err := sub.Subscribe(ctx, "bells")
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, sub, "bells")
	if n := len(subscriptions(t, s)); n != 2 {
		t.Errorf("%d subscriptions", n)
	}
	cancel()
	for range in {
		t.Error("a message")
	}
	if err := errors.Join(sub.Close(), sub.Close()); err != nil {
		t.Error(err)
	}
	if list := subscriptions(t, s); len(list) != 0 {
		t.Errorf("%d subscriptions are left", len(list))
	}
	if _, err := sub.Subscribe(t.Context(), "bells"); !errors.Is(err, gcppubsub.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSubscribeIsCalledOff: a subscription that was made for a caller who has gone
// is deleted.
func TestSubscribeIsCalledOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := fake(t, pstest.ServerReactorOption{FuncName: "CreateSubscription", Reactor: reactor(func(any) (bool, any, error) {
		cancel()
		return false, nil, nil
	})})
	publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: to(t, s.Addr)}), "bells", text("so that the topic is there", ""))
	sub := subscriber(t, gcppubsub.SubscriberOptions{Connection: to(t, s.Addr)})
	_, _ = sub.Subscribe(ctx, "bells") // the answer may be there before the end
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if list := subscriptions(t, s); len(list) != 0 {
		t.Errorf("%d subscriptions are left", len(list))
	}
}

type reactor func(request any) (bool, any, error)

func (r reactor) React(request any) (bool, any, error) { return r(request) }

// TestGroup: its members share the messages, which wait where there is no member.
func TestGroup(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		p := publisher(t, gcppubsub.PublisherOptions{Connection: c})
		o := gcppubsub.SubscriberOptions{Connection: c, Group: "billing", Streams: 4}
		first := subscriber(t, o)
		if err := first.SubscribeInitialize(topic); err != nil {
			t.Fatal(err)
		}
		want := numbered("m", 20)
		publish(t, p, topic, texts("", want...)...)
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		got := make(chan string)
		for range 2 {
			in := subscribe(t, subscriber(t, o), topic)
			go func() {
				for m := range in {
					m.Ack()
					got <- string(m.Payload)
				}
			}()
		}
		var list []string
		for range want {
			select {
			case m := <-got:
				list = append(list, m)
			case <-time.After(patience):
				t.Fatalf("only %v", list)
			}
		}
		slices.Sort(list)
		if slices.Sort(want); !slices.Equal(list, want) {
			t.Errorf("together they got %v", list)
		}
	})
}

// TestKeysInOrder: messages of a key come one after the other, also when each is
// nacked once. (Where a nack is answered by the broker with another order, which
// one emulator does, nothing is left to hold: that is why the test nacks on the
// fake only.)
func TestKeysInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		in := subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g", Streams: 4, Backoff: -1}), topic)
		publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: c}), topic, texts("a/1", numbered("m", 20)...)...)
		nacks := strings.HasSuffix(t.Name(), "fake")
		for _, want := range numbered("m", 20) {
			m := next(t, in)
			if nacks {
				m.Nack()
				m = next(t, in)
			}
			select {
			case other := <-in:
				t.Fatalf("%s is in hand, and %s comes", m.Payload, other.Payload)
			default:
			}
			if string(m.Payload) != want || m.Metadata["ce-partitionkey"] != "a/1" {
				t.Fatalf("%s, want %s", m.Payload, want)
			}
			m.Ack()
		}
	})
}

// TestFlowControl: no more than Outstanding messages are in hand.
func TestFlowControl(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		in := subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g", Outstanding: 3, Streams: 4, Backoff: -1}), topic)
		publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: c}), topic, texts("", numbered("m", 12)...)...)
		hand := []*message.Message{next(t, in), next(t, in), next(t, in)}
		select {
		case <-in:
			t.Error("a fourth message")
		case <-time.After(200 * time.Millisecond):
		}
		for seen := 3; seen < 12; seen++ {
			hand[0].Ack()
			hand = append(hand[1:], next(t, in))
		}
		for _, m := range hand {
			m.Ack()
		}
	})
}

// TestMadeAsTheOptionsSay holds what is asked of the server.
func TestMadeAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	s := fake(t)
	c := to(t, s.Addr)
	d := durationpb.New
	for name, tc := range map[string]struct {
		o    gcppubsub.SubscriberOptions
		want *pubsubpb.Subscription
	}{
		"own": {gcppubsub.SubscriberOptions{}, &pubsubpb.Subscription{AckDeadlineSeconds: 30, MessageRetentionDuration: d(10 * time.Minute),
			ExpirationPolicy: &pubsubpb.ExpirationPolicy{Ttl: d(24 * time.Hour)}, EnableMessageOrdering: true,
			RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: d(time.Second), MaximumBackoff: d(time.Minute)}}},
		"group": {gcppubsub.SubscriberOptions{Group: "g"}, &pubsubpb.Subscription{Name: "projects/p/subscriptions/t-group.g", AckDeadlineSeconds: 30,
			MessageRetentionDuration: d(7 * 24 * time.Hour), ExpirationPolicy: &pubsubpb.ExpirationPolicy{}, EnableMessageOrdering: true,
			RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: d(time.Second), MaximumBackoff: d(time.Minute)}}},
		"all": {gcppubsub.SubscriberOptions{Subscription: "named", Unordered: true, ExactlyOnce: true, Filter: "attributes:a", Expiry: 48 * time.Hour,
			Retention: time.Hour, Lease: time.Minute, Backoff: 2 * time.Second, MaxBackoff: 3 * time.Second, DeadLetter: "dead", Attempts: 7},
			&pubsubpb.Subscription{Name: "projects/p/subscriptions/named", AckDeadlineSeconds: 60, MessageRetentionDuration: d(time.Hour),
				ExpirationPolicy: &pubsubpb.ExpirationPolicy{Ttl: d(48 * time.Hour)}, EnableExactlyOnceDelivery: true, Filter: "attributes:a",
				RetryPolicy:      &pubsubpb.RetryPolicy{MinimumBackoff: d(2 * time.Second), MaximumBackoff: d(3 * time.Second)},
				DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: "projects/p/topics/dead", MaxDeliveryAttempts: 7}}},
		"at once": {gcppubsub.SubscriberOptions{Group: "now", Backoff: -1}, &pubsubpb.Subscription{Name: "projects/p/subscriptions/t-at-once.now", AckDeadlineSeconds: 30,
			MessageRetentionDuration: d(7 * 24 * time.Hour), ExpirationPolicy: &pubsubpb.ExpirationPolicy{}, EnableMessageOrdering: true}},
	} {
		tc.o.Connection = c
		topic := "t-" + strings.ReplaceAll(name, " ", "-")
		subscribe(t, subscriber(t, tc.o), topic)
		tc.want.Topic = "projects/p/topics/" + topic
		made := false
		for _, is := range subscriptions(t, s) {
			if is.Topic != tc.want.Topic {
				continue
			}
			made = true
			if tc.want.Name == "" {
				tc.want.Name = is.Name
				if !strings.HasPrefix(is.Name, "projects/p/subscriptions/t-own.own-") {
					t.Errorf("it is called %s", is.Name)
				}
			}
			if diff := cmp.Diff(tc.want, is, protocmp.Transform(), protocmp.IgnoreFields(is, "push_config", "state")); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if !made {
			t.Errorf("%s: no subscription", name)
		}
	}
}

// TestDeadLetter: what is never acknowledged goes where it is kept.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	c := to(t, fake(t).Addr)
	sub := subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g", DeadLetter: "dead", Attempts: 5, Backoff: -1})
	in := subscribe(t, sub, "events")
	publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: c}), "events", text("poison", ""))
	for n := range 5 {
		m := next(t, in)
		if d, ok := gcppubsub.DeliveryOf(m); !ok || d.Attempt != n+1 {
			t.Errorf("delivery %d: %+v", n+1, d)
		}
		m.Nack()
	}
	kept := subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Subscription: "dead"}), "dead")
	if got := acked(t, kept); got != "poison" {
		t.Errorf("among the dead is %q", got)
	}
}

// TestExactlyOnce: the answer to an ack is waited for, and the message gone.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	s := fake(t)
	c := to(t, s.Addr)
	in := subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g", ExactlyOnce: true, Outstanding: 1}), "events")
	publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: c}), "events", text("one", ""), text("two", ""))
	first := acked(t, in)
	if second := next(t, in); string(second.Payload) == first {
		t.Errorf("%s comes again", first)
	}
	for _, m := range s.Messages() {
		if string(m.Data) == first && m.Acks != 1 {
			t.Errorf("when the second came the first was acknowledged %d times", m.Acks)
		}
	}
}

func TestSubscribeRefuses(t *testing.T) {
	t.Parallel()
	s := fake(t)
	c := to(t, s.Addr)
	subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Subscription: "taken"}), "events")
	if _, err := subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Subscription: "taken"}).Subscribe(t.Context(), "others"); !errors.Is(err, gcppubsub.ErrOtherTopic) {
		t.Errorf("another topic: %v", err)
	}
	c.MustExist = true
	_, err := subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g"}).Subscribe(t.Context(), "events")
	if err == nil || !strings.Contains(err.Error(), "gcppubsub: subscribe to events: the subscription projects/p/subscriptions/events.g does not exist, and must not be made (MustExist)") {
		t.Errorf("a missing subscription: %v", err)
	}
	subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Subscription: "taken"}), "events")
	for says, o := range map[string]gcppubsub.SubscriberOptions{
		"MustExist without": {Connection: c}, "want one of them": {Group: "a", Subscription: "b"}, "out of range": {Lease: time.Second},
		"nor Grace can be negative": {Connection: gcppubsub.Connection{Timeout: -1}},
	} {
		if _, err := gcppubsub.OpenSubscriber("p", &o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	for _, o := range []gcppubsub.SubscriberOptions{{Lease: 11 * time.Minute}, {Expiry: time.Hour}, {Retention: time.Minute}, {Attempts: 4}, {Attempts: 101}, {Outstanding: -1},
		{OutstandingBytes: -1}, {Streams: -1}, {Extension: -1}, {Backoff: time.Minute, MaxBackoff: time.Second}, {Backoff: time.Hour}} {
		if _, err := gcppubsub.OpenSubscriber("p", &o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	c.MustExist = false
	if _, err := subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "a b"}).Subscribe(t.Context(), "events"); err == nil || !strings.Contains(err.Error(), "no name in subscriptions") {
		t.Errorf("a bad name: %v", err)
	}
}

// TestEndWhileInHand: what was acked before the end counts, what was not is
// delivered to somebody else.
func TestEndWhileInHand(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		o := gcppubsub.SubscriberOptions{Connection: c, Group: "g", Backoff: -1, Streams: 2}
		ctx, cancel := context.WithCancel(t.Context())
		in, err := subscriber(t, o).Subscribe(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: c}), topic, text("1", ""), text("2", ""))
		one, two := next(t, in), next(t, in)
		one.Ack()
		cancel()
		<-two.Context().Done()
		for range in {
			t.Error("one more message")
		}
		again := subscribe(t, subscriber(t, o), topic)
		if got := acked(t, again); got != string(two.Payload) {
			t.Errorf("%s comes again, %s was in hand", got, two.Payload)
		}
		select {
		case m := <-again:
			t.Errorf("%s comes again, too", m.Payload)
		case <-time.After(200 * time.Millisecond):
		}
	})
}
