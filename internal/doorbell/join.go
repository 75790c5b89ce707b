package doorbell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// A Job is work that a Watermill router does for as long as it runs, and what
// messages mean for it.
type Job struct {
	Name       string             // of the handler; a number is added when it is taken
	Topic      string             // "" is the constant Topic
	Subscriber message.Subscriber // nil: no messages come
	// Check says what makes Run useless from the start. The router's Run returns
	// it. nil: nothing.
	Check func() error
	// Run works until ctx ends and returns when it has finished what it had in
	// hand.
	Run func(ctx context.Context) error
	// Ring is called for each message that has passed the router's middleware. A
	// message that is no bell (ok is false) may be about any shard. It must return
	// quickly, and is called side by side.
	Ring func(b Bell, ok bool)
}

// Join makes j a handler of router, which runs it from its own Run until it is
// closed; its Close waits, as for every handler, for j.Run to return (at most
// message.RouterConfig.CloseTimeout). The messages pass the router's middleware,
// are acknowledged, and ring. A subscription that ends while the router runs is
// made again.
//
// When j.Run returns before, the handler ends as one whose messages have ended
// does, and the router with its last handler; an error is told to the router's
// logger. A first subscription that fails makes the router's Run fail.
func Join(router *message.Router, j Job) *message.Handler {
	if j.Topic == "" {
		j.Topic = Topic
	}
	h := add(router, j.Name, j)
	for n := 2; h == nil; n++ {
		h = add(router, fmt.Sprintf("%s.%d", j.Name, n), j)
	}
	return h
}

// add adds the handler, or returns nil when the name is taken. The router tells
// that by a panic; to ask it for its names races with handlers that end.
func add(router *message.Router, name string, j Job) (h *message.Handler) {
	defer func() {
		v := recover()
		if _, taken := v.(message.DuplicateHandlerNameError); v != nil && !taken {
			panic(v)
		}
	}()
	s := &working{Job: j, log: router.Logger().With(watermill.LogFields{"handler_name": name, "topic": j.Topic})}
	return router.AddConsumerHandler(name, j.Topic, s, func(m *message.Message) error {
		b, err := Decode(m)
		j.Ring(b, err == nil)
		return nil
	})
}

// A working is a subscriber that works while it is subscribed. A router starts a
// handler by subscribing and takes it for ended when the channel is closed.
type working struct {
	Job
	log watermill.LoggerAdapter

	mu   sync.Mutex
	stop context.CancelFunc // nil: it does not work
}

// Subscribe starts the work. The channel is closed when it has ended, and the
// subscription with it.
func (s *working) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if s.Check != nil {
		if err := s.Check(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return nil, errors.New("doorbell: the handler runs already")
	}
	ctx, cancel := context.WithCancel(ctx)
	var in <-chan *message.Message
	if s.Subscriber != nil {
		var err error
		if in, err = s.Subscriber.Subscribe(ctx, topic); err != nil {
			cancel()
			return nil, err
		}
	}
	s.stop = cancel
	out := make(chan *message.Message)
	go s.work(ctx, in, out)
	return out, nil
}

// work runs the job and passes messages on meanwhile.
func (s *working) work(ctx context.Context, in <-chan *message.Message, out chan<- *message.Message) {
	defer close(out)
	var listener sync.WaitGroup
	if s.Subscriber != nil {
		line := Line{s.Subscriber, s.Topic, s.lost}
		listener.Go(func() { line.listen(ctx, in, func(m *message.Message) { pass(ctx, m, out) }) })
	}
	if err := s.Run(ctx); err != nil {
		s.log.Error("The runner ended with an error", err, nil)
	}
	s.end()
	listener.Wait()
}

// end tells the work to end, if there is any.
func (s *working) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// pass hands a message to the router. When the end has come it is left without
// an answer, so that the subscriber gives it to somebody else; to refuse it could
// bring it back at once.
func pass(ctx context.Context, m *message.Message, out chan<- *message.Message) {
	if ctx.Err() != nil {
		return
	}
	select {
	case out <- m:
	case <-ctx.Done():
	}
}

func (s *working) lost(err error) {
	if err == nil {
		err = errors.New("the subscription ended")
	}
	s.log.Error("No doorbell; subscribing again", err, nil)
}

// Close ends the work and closes the subscriber, as the router does with those
// of all handlers.
func (s *working) Close() error {
	s.end()
	if s.Subscriber == nil {
		return nil
	}
	return s.Subscriber.Close()
}

// String is the name by which middleware knows the subscriber.
func (s *working) String() string {
	if named, ok := s.Subscriber.(fmt.Stringer); ok {
		return named.String()
	}
	return strings.TrimLeft(fmt.Sprintf("%T", s.Subscriber), "*")
}
