package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// A broker takes messages, and fails as its plan says: before it takes the
// message, or after, when only the answer is lost.
type broker struct {
	plan func(m *message.Message) (before, after error)

	mu       sync.Mutex
	messages []*message.Message
	calls    int
	under    int // calls under way
	most     int // of these at a time
}

var errBroker = errors.New("no broker")

func (b *broker) Publish(topic string, messages ...*message.Message) error {
	b.mu.Lock()
	b.calls++
	b.under++
	b.most = max(b.most, b.under)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.under--
		b.mu.Unlock()
	}()
	for _, m := range messages {
		var before, after error
		if b.plan != nil {
			before, after = b.plan(m)
		}
		if before != nil {
			return before
		}
		b.mu.Lock()
		b.messages = append(b.messages, m.Copy())
		b.mu.Unlock()
		if after != nil {
			return after
		}
	}
	return nil
}

func (b *broker) Close() error { return nil }

// firsts returns the versions of a stream in the order of their first delivery.
func (b *broker) firsts(t testing.TB, stream string) (list []int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if m.Metadata[outbox.MetadataOrderingKey] != stream {
			continue
		}
		v, err := strconv.Atoi(m.Metadata[outbox.MetadataStreamVersion])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

func (b *broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages)
}

// total is how often Publish was called, peak how often at a time.
func (b *broker) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func (b *broker) peak() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most
}

// all returns the messages so far.
func (b *broker) all() []*message.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// upTo is 1, 2 … n.
func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

func publishing(l *eventlog.Log, b *broker) *outbox.Relay {
	return &outbox.Relay{Log: l, Name: "all", Publisher: b, Topic: "events", Types: []string{"test.added"}}
}

// each event of a stream that was delivered, as "stream version".
func (b *broker) list() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		list = append(list, fmt.Sprint(m.Metadata[outbox.MetadataSubject], " ", m.Metadata[outbox.MetadataStreamVersion]))
	}
	return list
}
