package doorbell_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/doorbell"
)

// Middleware sees each message, with the names that it has for any other
// handler, before it rings; one that is no bell rings for any shard.
func TestMiddlewareSeesEachMessage(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		h.router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				ctx := m.Context()
				h.hear(strings.Join([]string{message.HandlerNameFromCtx(ctx), message.SubscribeTopicFromCtx(ctx), message.SubscriberNameFromCtx(ctx)}, " "))
				return next(m)
			}
		})
		doorbell.Join(h.router, h.job()).AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				h.hear("of the handler")
				return next(m)
			}
		})
		h.start(t.Context())
		h.ring(t, bell(3))
		h.ring(t, message.NewMessage("1", []byte("no bell")))
		const names = "work bells gochannel.GoChannel"
		h.expect(t, names, "of the handler", "shard 3", names, "of the handler", "any")
	})
}

// A message whose middleware panics or fails comes again; the work goes on.
func TestMiddlewareFails(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		times := 0
		h.router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				switch times++; times {
				case 1:
					panic("oh")
				case 2:
					return nil, errTest
				}
				return next(m)
			}
		})
		doorbell.Join(h.router, h.job())
		h.start(t.Context())
		h.ring(t, bell(2))
		h.expect(t, "shard 2")
		if times != 3 {
			t.Errorf("middleware was called %d times, expected 3", times)
		}
	})
}

// A subscription that cannot be made fails the router, as any handler's does,
// and so does what Check says; no work has begun. It can be started later.
func TestCannotStart(t *testing.T) {
	for name, spoil := range map[string]func(j *doorbell.Job){
		"no subscription": func(j *doorbell.Job) { j.Subscriber = &moody{Subscriber: j.Subscriber, plan: []error{errTest}} },
		"check": func(j *doorbell.Job) {
			first := true
			j.Check = func() error {
				if first {
					first = false
					return errTest
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inHall(t, func(t *testing.T, h *hall) {
				j := h.job()
				spoil(&j)
				j.Run = func(context.Context) error {
					h.hear("work")
					return nil
				}
				doorbell.Join(h.router, j)
				h.start(t.Context())
				if err := <-h.ended; !errors.Is(err, errTest) {
					t.Errorf("the router said %v", err)
				}
				h.expect(t)
				if err := h.router.RunHandlers(t.Context()); err != nil {
					t.Errorf("the second time: %v", err)
				}
				synctest.Wait()
				h.expect(t, "work")
			})
		})
	}
}

// A subscription that ends while the router runs is made again; the work does
// not notice.
func TestSubscriptionEnds(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		j := h.job()
		j.Subscriber = &moody{Subscriber: h.bells, plan: []error{nil, errTest, errTest}}
		doorbell.Join(h.router, j)
		h.start(t.Context())
		time.Sleep(time.Second) // of the bubble: three pauses
		h.ring(t, bell(1))
		h.expect(t, "shard 1")
		h.expectError(t, "No doorbell; subscribing again", errTest)
	})
}

// Any number of jobs join one router under one name.
func TestNamesDoNotCollide(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		h.router.AddConsumerHandler("work.2", "bells", h.bells, func(*message.Message) error { return nil })
		for range 3 {
			doorbell.Join(h.router, h.job())
		}
		var names []string
		for name := range h.router.Handlers() {
			names = append(names, name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != "work work.2 work.3 work.4" {
			t.Errorf("handlers %s", got)
		}
		h.start(t.Context())
		h.ring(t, bell(6))
		h.expect(t, "shard 6", "shard 6", "shard 6")
	})
}

// Without a subscriber the router runs the work all the same.
func TestNoSubscriber(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		j := h.job()
		j.Subscriber = nil
		j.Run = func(ctx context.Context) error {
			h.hear("work")
			<-ctx.Done()
			return nil
		}
		doorbell.Join(h.router, j)
		h.start(t.Context())
		h.expect(t, "work")
	})
}

// The topic without a name is that of the notifier.
func TestDefaultTopic(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		j := h.job()
		j.Topic = ""
		doorbell.Join(h.router, j)
		h.start(t.Context())
		if err := h.bells.Publish(doorbell.Topic, bell(7)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		h.expect(t, "shard 7")
	})
}
