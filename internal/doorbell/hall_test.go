package doorbell_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/internal/doorbell"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errTest = errors.New("injected")

// A hall is a router in a bubble, with a broker and what its handlers heard.
type hall struct {
	router *message.Router
	bells  *gochannel.GoChannel
	logged *watermill.CaptureLoggerAdapter
	ended  chan error // what the router's Run returned
	mu     sync.Mutex
	heard  []string
}

// inHall runs fn in a bubble: what is still running at the end fails the test.
func inHall(t *testing.T, fn func(t *testing.T, h *hall)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logged := watermill.NewCaptureLogger()
		h := &hall{
			router: message.NewDefaultRouter(logged), logged: logged, ended: make(chan error, 1),
			bells: gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil),
		}
		fn(t, h)
		if err := errors.Join(h.router.Close(), h.bells.Close()); err != nil {
			t.Error(err)
		}
	})
}

// job is one that works until it is told to stop.
func (h *hall) job() doorbell.Job {
	return doorbell.Job{
		Name: "work", Topic: "bells", Subscriber: h.bells,
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		},
		Ring: func(b doorbell.Bell, ok bool) {
			if !ok {
				h.hear("any")
				return
			}
			h.hear("shard " + string(rune('0'+b.Shard)))
		},
	}
}

func (h *hall) hear(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, what)
}

// start runs the router until everything waits.
func (h *hall) start(ctx context.Context) {
	go func() { h.ended <- h.router.Run(ctx) }()
	synctest.Wait()
}

// ring publishes a message and waits until it was acknowledged.
func (h *hall) ring(t *testing.T, m *message.Message) {
	t.Helper()
	if err := h.bells.Publish("bells", m); err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

func (h *hall) expect(t *testing.T, heard ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.heard, heard) {
		t.Errorf("heard %q, expected %q", h.heard, heard)
	}
}

// expectError expects that the router's logger was told.
func (h *hall) expectError(t *testing.T, message string, err error) {
	t.Helper()
	for _, c := range h.logged.Captured()[watermill.ErrorLogLevel] {
		if c.Msg == message && errors.Is(c.Err, err) && c.Fields["handler_name"] == "work" && c.Fields["topic"] == "bells" {
			return
		}
	}
	t.Errorf("nothing was logged that says %q, %v", message, err)
}

func bell(shard int) *message.Message {
	return doorbell.Encode(doorbell.Bell{Shard: shard, Revision: 1})
}
