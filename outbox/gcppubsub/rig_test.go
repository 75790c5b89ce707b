package gcppubsub_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(probed{m},
		goleak.IgnoreAnyFunction("github.com/rollforward/rollforward/internal/emulator.(*Server).exec.func1"), // lives as long as this process
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),                               // started by its init
		// The library's own ends with its next tick, at most ten seconds later.
		goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}

// probed is a run of tests that may have asked an emulator over HTTP.
type probed struct{ *testing.M }

func (p probed) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	return p.M.Run()
}

// fake starts a server in this process.
func fake(t testing.TB, o ...pstest.ServerReactorOption) *pstest.Server {
	t.Helper()
	s := pstest.NewServer(o...)
	t.Cleanup(func() { stop(s) })
	return s
}

// stop stops a server. A second time it would panic.
func stop(s *pstest.Server) {
	defer func() { _ = recover() }()
	_ = s.Close()
}

// to is the connection to a server at addr.
func to(t testing.TB, addr string) gcppubsub.Connection {
	return gcppubsub.Connection{Emulator: addr, Grace: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func publisher(t testing.TB, o gcppubsub.PublisherOptions) *gcppubsub.Publisher {
	t.Helper()
	p, err := gcppubsub.OpenPublisher(t.Context(), "p", &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func subscriber(t testing.TB, o gcppubsub.SubscriberOptions) *gcppubsub.Subscriber {
	t.Helper()
	s, err := gcppubsub.OpenSubscriber("p", &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func subscribe(t testing.TB, s *gcppubsub.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	in, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func text(payload string, key string) *message.Message {
	m := message.NewMessage(watermill.NewUUID(), []byte(payload))
	if key != "" {
		m.Metadata["ce-partitionkey"] = key
	}
	return m
}

// patience is for what must come; a test that is well does not wait for it.
const patience = 2 * time.Minute // the client may have asked for a minute more before it was stopped

// next returns the next message, which is not answered yet.
func next(t testing.TB, in <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-in:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return m
	case <-time.After(patience):
		t.Fatal("no message")
	}
	return nil
}

// acked returns the payload of the next message, and acks it.
func acked(t testing.TB, in <-chan *message.Message) string {
	t.Helper()
	m := next(t, in)
	m.Ack()
	return string(m.Payload)
}

func publish(t testing.TB, p *gcppubsub.Publisher, topic string, messages ...*message.Message) {
	t.Helper()
	if err := p.Publish(topic, messages...); err != nil {
		t.Fatal(err)
	}
}
