package gcppubsub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// A forgetful publisher publishes, and loses every fifth answer.
type forgetful struct {
	message.Publisher
	n atomic.Int64
}

func (f *forgetful) Publish(topic string, messages ...*message.Message) error {
	err := f.Publisher.Publish(topic, messages...)
	if f.n.Add(1)%5 == 0 {
		return errors.Join(err, errors.New("the answer is lost"))
	}
	return err
}

// TestRelayToInbox: the events of a log become steps of another one, each once
// and those of a stream in their order, though answers are lost and, on the fake,
// which keeps the order then, messages are nacked.
func TestRelayToInbox(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		from, to := eventlogtest.New(t), eventlogtest.New(t)
		sub := subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "inbox", Backoff: -1, Streams: 10})
		if err := sub.SubscribeInitialize(topic); err != nil {
			t.Fatal(err)
		}
		run(t, (&outbox.Relay{Log: from, Name: "all", Topic: topic, Types: []string{"test.added"}, Backoff: time.Millisecond,
			Publisher: &forgetful{Publisher: publisher(t, gcppubsub.PublisherOptions{Connection: c})}}).Run)
		const streams, each = 10, 15
		for n := range each {
			for s := range streams {
				if _, err := from.Append(t.Context(), fmt.Sprintf("a/%d", s), nil, Added{n}); err != nil {
					t.Fatal(err)
				}
			}
		}
		var calls, taken atomic.Int64
		nacks := strings.HasSuffix(t.Name(), "fake")
		all := make(chan struct{})
		stop := run(t, (&outbox.Inbox{Log: to, Name: "all", Subscriber: sub, Topic: topic, Backoff: time.Millisecond, MaxBackoff: time.Millisecond,
			Step: func(m *message.Message) (outbox.Step, error) {
				if nacks && calls.Add(1)%7 == 0 {
					return nil, errors.New("not now")
				}
				a := Add{To: m.Metadata[outbox.MetadataSubject]}
				return a, json.Unmarshal(m.Payload, &a)
			},
			Hooks: outbox.InboxHooks{Taken: func(_ *message.Message, before bool) {
				if !before && taken.Add(1) == streams*each {
					close(all)
				}
			}}}).Run)
		select {
		case <-all:
		case <-time.After(patience):
			t.Fatalf("%d of %d events were taken", taken.Load(), streams*each)
		}
		stop()
		if err := (&outbox.Runner{Log: to, Handlers: []outbox.Handler{adding}}).Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []int
		for n := range each {
			want = append(want, n)
		}
		for s := range streams {
			if got := added(t, to, fmt.Sprintf("a/%d", s)); !slices.Equal(got, want) {
				t.Errorf("a/%d: %v", s, got)
			}
		}
		for r, err := range to.Read(t.Context(), eventlog.Query{Category: "a"}) {
			if err != nil || r.Meta.Correlation.IsZero() {
				t.Errorf("an event without its chain: %v", err)
			}
		}
	})
}
