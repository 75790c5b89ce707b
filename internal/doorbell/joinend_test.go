package doorbell_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/internal/doorbell"
)

// The router's end is the work's: the router waits for what it has in hand.
func TestRouterWaitsForTheWork(t *testing.T) {
	for name, end := range map[string]func(h *hall, cancel func()) error{
		"closed":        func(h *hall, _ func()) error { return h.router.Close() },
		"context ended": func(h *hall, cancel func()) error { cancel(); return <-h.ended },
	} {
		t.Run(name, func(t *testing.T) {
			inHall(t, func(t *testing.T, h *hall) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				j := h.job()
				j.Run = func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(5 * time.Second) // of the bubble: finishing
					h.hear("finished")
					return nil
				}
				doorbell.Join(h.router, j)
				h.start(ctx)
				if err := end(h, cancel); err != nil {
					t.Error(err)
				}
				h.expect(t, "finished")
			})
		})
	}
}

// Messages that come while the work is being finished disturb nothing.
func TestMessagesDuringTheEnd(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		j := h.job()
		j.Subscriber = &deaf{Subscriber: h.bells}
		j.Run = func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		}
		doorbell.Join(h.router, j)
		h.start(t.Context())
		closed := make(chan error, 1)
		go func() { closed <- h.router.Close() }()
		synctest.Wait()
		go func() { _ = h.bells.Publish("bells", bell(1)) }()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		h.expect(t)
	})
}

// deaf is a subscriber that goes on until its Close, whatever becomes of the
// subscription's context, and takes a second for that.
type deaf struct {
	message.Subscriber
	stop context.CancelFunc
}

func (d *deaf) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	return d.Subscriber.Subscribe(ctx, topic)
}

func (d *deaf) Close() error {
	time.Sleep(time.Second)
	d.stop()
	return nil
}

// Work that ends with an error ends its handler and its subscription, and no
// other's. The last handler's end is the router's.
func TestWorkEndsEarly(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		first, second := h.job(), h.job()
		first.Run = func(context.Context) error { return errTest }
		end := make(chan struct{})
		second.Run = func(context.Context) error {
			<-end
			return nil
		}
		ended := doorbell.Join(h.router, first)
		doorbell.Join(h.router, second)
		h.start(t.Context())
		<-ended.Stopped()
		h.expectError(t, "The runner ended with an error", errTest)
		h.ring(t, bell(4))
		h.expect(t, "shard 4") // once
		if h.router.IsClosed() {
			t.Error("the router is closed")
		}
		close(end)
		if err := <-h.ended; err != nil || !h.router.IsClosed() {
			t.Errorf("the router is closed: %v; it said %v", h.router.IsClosed(), err)
		}
	})
}

// A handler that is stopped on its own waits for its work, and for its
// subscription to end.
func TestHandlerStopped(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		j := h.job()
		j.Subscriber = slow{h}
		stopped, other := doorbell.Join(h.router, j), doorbell.Join(h.router, h.job())
		h.start(t.Context())
		stopped.Stop()
		<-stopped.Stopped()
		h.expect(t, "subscription ended")
		h.ring(t, bell(5))
		h.expect(t, "subscription ended", "shard 5")
		other.Stop()
		<-other.Stopped()
	})
}

// slow is a subscriber whose subscriptions need a second to end.
type slow struct{ h *hall }

func (s slow) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	context.AfterFunc(ctx, func() {
		time.Sleep(time.Second)
		s.h.hear("subscription ended")
		close(out)
	})
	return out, nil
}

func (s slow) Close() error { return nil }

// A handler that joins a router that runs has a context of its own; the router's
// end is its end all the same.
func TestJoinLater(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		doorbell.Join(h.router, h.job())
		h.start(t.Context())
		doorbell.Join(h.router, h.job())
		if err := h.router.RunHandlers(context.Background()); err != nil {
			t.Fatal(err)
		}
		h.ring(t, bell(8))
		h.expect(t, "shard 8", "shard 8")
		if err := h.router.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A router that gives a handler up after it has begun ends it, also while
// messages wait for the router. It can begin again.
func TestGivenUp(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		first, bells := true, gochannel.NewGoChannel(gochannel.Config{}, nil)
		defer bells.Close()
		h.router.AddSubscriberDecorators(func(sub message.Subscriber) (message.Subscriber, error) {
			if first {
				first = false
				return &failing{sub, h, bells, false}, nil
			}
			return sub, nil
		})
		j := h.job()
		j.Subscriber = bells
		doorbell.Join(h.router, j)
		h.start(t.Context())
		if err := <-h.ended; !errors.Is(err, errTest) {
			t.Errorf("the router said %v", err)
		}
		time.Sleep(time.Minute) // of the bubble
		if err := h.router.RunHandlers(t.Context()); err != nil {
			t.Errorf("the second time: %v", err)
		}
		h.expect(t, "on its way", "over")
	})
}

// failing subscribes, lets messages come that nobody takes, and fails, once.
// Later it looks at what it got: a message is on its way in the router, the other
// one was taken back.
type failing struct {
	message.Subscriber
	h     *hall
	bells message.Publisher
	once  bool
}

func (f *failing) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	messages, err := f.Subscriber.Subscribe(ctx, topic)
	if err != nil || f.once {
		return messages, err
	}
	f.once = true
	if err := f.bells.Publish("bells", bell(1), bell(2)); err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // of the bubble: until they wait
	go func() {
		time.Sleep(time.Second)
		for range messages {
			f.h.hear("on its way")
		}
		f.h.hear("over")
	}()
	return nil, errTest
}
