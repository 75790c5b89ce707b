package gcppubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/outbox"
)

// PublisherOptions are options of a Publisher.
type PublisherOptions struct {
	Connection Connection
	// Key returns the ordering key of a message; "" is none. nil is the metadata
	// outbox.MetadataOrderingKey, which a Relay sets.
	Key func(topic string, m *message.Message) string
	// Batch is how many messages are sent together at most (100), BatchBytes of what
	// size (1 MB), and Delay for how long a message waits for others (1 ms).
	Batch, BatchBytes int
	Delay             time.Duration
	// Outstanding is how many messages, and OutstandingBytes what size, may be on
	// their way for each topic (10,000 and 64 MB). Publish waits beyond that.
	Outstanding, OutstandingBytes int
	// Timeout is how long a batch may take, with all attempts (30 s). After that the
	// messages may have been published or not.
	Timeout time.Duration
}

func (o *PublisherOptions) complete() (out PublisherOptions, err error) {
	if o != nil {
		out = *o
	}
	if out.Batch < 0 || out.BatchBytes < 0 || out.Delay < 0 || out.Outstanding < 0 || out.OutstandingBytes < 0 || out.Timeout < 0 {
		return out, errors.New("numbers, sizes and times cannot be negative")
	}
	if out.Key == nil {
		out.Key = func(_ string, m *message.Message) string { return m.Metadata[outbox.MetadataOrderingKey] }
	}
	out.Batch = cmp.Or(out.Batch, 100)
	out.BatchBytes = cmp.Or(out.BatchBytes, 1_000_000)
	out.Delay = cmp.Or(out.Delay, time.Millisecond)
	out.Outstanding = cmp.Or(out.Outstanding, 10_000)
	out.OutstandingBytes = cmp.Or(out.OutstandingBytes, 64<<20)
	out.Timeout = cmp.Or(out.Timeout, 30*time.Second)
	out.Connection, err = out.Connection.complete()
	return out, err
}

// A Publisher publishes messages to topics. It is a Watermill publisher, and may
// be used by several goroutines.
type Publisher struct {
	options PublisherOptions
	client  *pubsub.Client

	mu     sync.Mutex
	topics map[string]*topic // by the name in the call
	closed bool
	calls  sync.WaitGroup
	once   sync.Once
}

// OpenPublisher returns a Publisher for a project; "" is the one that
// GOOGLE_CLOUD_PROJECT names, or the credentials. It does not wait for the server.
// o may be nil.
func OpenPublisher(ctx context.Context, project string, o *PublisherOptions) (*Publisher, error) {
	options, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("gcppubsub: publisher: %w", err)
	}
	client, err := options.Connection.dial(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("gcppubsub: publisher: %w", err)
	}
	return &Publisher{options: options, client: client, topics: make(map[string]*topic)}, nil
}

// Publish publishes messages to a topic, given by its id, or as
// projects/P/topics/T. It returns nil when Pub/Sub has taken all of them, in their
// order where they have the same ordering key. After an error some may have been
// taken, of those of one key only from the front; the same messages may be
// published again. A message that Pub/Sub would never take is ErrMessage, and then
// none of the call is published. The wait for a message ends with its context,
// and then it may be published all the same.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	err := p.publish(topic, messages)
	if err != nil {
		return fmt.Errorf("gcppubsub: publish to %s: %w", topic, err)
	}
	return nil
}

func (p *Publisher) publish(name string, messages []*message.Message) error {
	t, err := p.begin(name)
	if err != nil {
		return err
	}
	defer p.calls.Done()
	if len(messages) == 0 {
		return nil
	}
	list := make([]outgoing, len(messages))
	for i, m := range messages {
		out, err := encode(m, p.options.Key(name, m))
		if err != nil {
			return fmt.Errorf("message %s: %w", m.UUID, err)
		}
		list[i] = outgoing{m.Context(), out}
	}
	return t.publish(list)
}

// begin begins a call.
func (p *Publisher) begin(name string) (*topic, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	t := p.topics[name]
	if t == nil {
		full, err := fullName(p.client.Project(), "topics", name)
		if err != nil {
			return nil, err
		}
		t = p.newTopic(full)
		p.topics[name] = t
	}
	p.calls.Add(1)
	return t, nil
}

// Close lets the calls under way finish, for as long as Grace, and then ends
// them.
func (p *Publisher) Close() error {
	p.once.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.calls.Wait()
			for _, t := range p.topics {
				t.publisher.Stop()
			}
		}()
		timer := time.NewTimer(p.options.Connection.Grace)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		}
		_ = p.client.Close() // ends what is under way, whose callers are told
		<-done
	})
	return nil
}
