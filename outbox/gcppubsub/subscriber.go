package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"cloud.google.com/go/pubsub/v2"
	"github.com/ThreeDotsLabs/watermill/message"
)

// A Subscriber brings the messages of topics. It is a Watermill subscriber, and
// may be used by several goroutines.
type Subscriber struct {
	options SubscriberOptions
	project string

	mu      sync.Mutex
	closing chan struct{} // closed by Close
	closed  bool
	running sync.WaitGroup
}

// OpenSubscriber returns a Subscriber for a project; "" is the one that
// GOOGLE_CLOUD_PROJECT names, or the credentials. It does not connect: each
// Subscribe does. o may be nil.
func OpenSubscriber(project string, o *SubscriberOptions) (*Subscriber, error) {
	options, err := o.complete()
	if err == nil {
		project, err = options.Connection.projectID(project)
	}
	if err != nil {
		return nil, fmt.Errorf("gcppubsub: subscriber: %w", err)
	}
	return &Subscriber{options: options, project: project, closing: make(chan struct{})}, nil
}

// Subscribe returns the messages of a topic, given by its id, or as
// projects/P/topics/T. Each has to be acked or nacked; up to Outstanding are in
// hand at a time, those of an ordering key one after the other. The subscription
// is there when Subscribe returns: what is published behind that is delivered.
//
// The channel is closed after ctx has ended, or the Subscriber was closed. What is
// in hand then, and not acked, is nacked, and delivered to somebody else. Before
// that it stays open: where the server is away, or the subscription disappears,
// it is tried again, and the logger is told.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	sub, err := s.subscribe(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("gcppubsub: subscribe to %s: %w", topic, err)
	}
	go func() {
		defer s.running.Done()
		defer sub.end()
		sub.serve()
	}()
	return sub.out, nil
}

// subscribe connects and finds or makes the subscription. It counts as running
// then.
func (s *Subscriber) subscribe(ctx context.Context, topic string) (*subscription, error) {
	if !s.begin() {
		return nil, ErrClosed
	}
	ctx, end := s.until(ctx)
	sub, err := s.connect(ctx, topic)
	if err != nil {
		end()
		s.running.Done()
		return nil, err
	}
	sub.cancel = end
	return sub, nil
}

// until returns a ctx that ends with the Subscriber, too.
func (s *Subscriber) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.closing:
			end()
		case <-ctx.Done():
		}
	}()
	return ctx, end
}

func (s *Subscriber) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

func (s *Subscriber) connect(ctx context.Context, topic string) (*subscription, error) {
	client, err := s.options.Connection.dial(ctx, s.project)
	if err != nil {
		return nil, err
	}
	sub, err := s.name(client, topic)
	if err == nil {
		sub.ctx = ctx
		if err = sub.ensure(ctx); err != nil && ctx.Err() != nil {
			sub.remove() // it may have been made all the same
		}
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return sub, nil
}

// name finds out what the subscription to a topic is called.
func (s *Subscriber) name(client *pubsub.Client, topic string) (sub *subscription, err error) {
	o := &s.options
	sub = &subscription{options: o, client: client, out: make(chan *message.Message)}
	if sub.topic, err = fullName(client.Project(), "topics", topic); err != nil {
		return nil, err
	}
	name := o.Subscription
	switch {
	case o.own():
		name = ownName(sub.topic)
	case o.Group != "":
		name = shortName(sub.topic) + "." + o.Group
	}
	if sub.name, err = fullName(client.Project(), "subscriptions", name); err != nil {
		return nil, err
	}
	if o.DeadLetter != "" {
		sub.deadLetter, err = fullName(client.Project(), "topics", o.DeadLetter)
	}
	return sub, err
}

// SubscribeInitialize makes the subscription, so that what is published behind it
// waits for the first Subscribe. Subscriptions of its own there is nothing to do
// for: they get what is published after Subscribe.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	if s.options.own() {
		return nil
	}
	if !s.begin() {
		return ErrClosed
	}
	defer s.running.Done()
	ctx, end := s.until(context.Background())
	defer end()
	sub, err := s.connect(ctx, topic)
	if err != nil {
		return fmt.Errorf("gcppubsub: subscribe to %s: %w", topic, err)
	}
	return sub.client.Close()
}

// Close ends all subscriptions and waits until their channels are closed.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}
