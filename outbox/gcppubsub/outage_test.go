package gcppubsub_test

import (
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// TestServerComesBack: publishers and subscriptions go on by themselves, soon,
// also where the server has lost its topics and subscriptions, as emulators do.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		addr := freeAddress(t)
		s := pstest.NewServerWithAddress(addr)
		comesBack(t, addr, func() { stop(s) }, func() {
			s = pstest.NewServerWithAddress(addr)
			t.Cleanup(func() { stop(s) })
		})
	})
	t.Run("emulator", func(t *testing.T) {
		t.Parallel()
		s := emulator.PubSub.Start(t)
		comesBack(t, s.Host(), s.Kill, func() {
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func comesBack(t *testing.T, addr string, kill, restart func()) {
	c := to(t, addr)
	p := publisher(t, gcppubsub.PublisherOptions{Connection: c, Timeout: 500 * time.Millisecond})
	own := subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c}), "events")
	group := subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g"}), "events")
	publish(t, p, "events", text("before", "a/1"))
	if acked(t, own) != "before" || acked(t, group) != "before" {
		t.Error("something else came")
	}
	for range 2 {
		kill()
		if err := p.Publish("events", text("meanwhile", "a/1")); err == nil {
			t.Error("published without a server")
		}
		restart()
		begin := time.Now()
		for heard := 0; heard < 2; { // what is published before they are back is for nobody
			_ = p.Publish("events", text("behind", "a/1"))
			select {
			case m := <-own:
				own = nil
				m.Ack()
				heard++
			case m := <-group:
				group = nil
				m.Ack()
				heard++
			case <-time.After(50 * time.Millisecond):
			}
			if time.Since(begin) > patience {
				t.Fatal("nothing comes")
			}
		}
		if took := time.Since(begin); took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
		t.Logf("everything is back %v after the server", time.Since(begin).Round(time.Millisecond))
		own = subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c}), "events")
		group = subscribe(t, subscriber(t, gcppubsub.SubscriberOptions{Connection: c, Group: "g2"}), "events")
	}
}

// TestEndWithoutServer: neither Close nor the end of ctx waits for one that is
// away, with messages in hand or not.
func TestEndWithoutServer(t *testing.T) {
	t.Parallel()
	s := fake(t)
	c := to(t, s.Addr)
	c.Grace = 300 * time.Millisecond
	sub := subscriber(t, gcppubsub.SubscriberOptions{Connection: c})
	idle, busy := subscribe(t, sub, "idle"), subscribe(t, sub, "busy")
	publish(t, publisher(t, gcppubsub.PublisherOptions{Connection: c}), "busy", text("x", ""))
	m := next(t, busy)
	stop(s)
	begin := time.Now()
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	<-m.Context().Done()
	for _, in := range []<-chan struct{}{closed(idle), closed(busy)} {
		<-in
	}
	sub = subscriber(t, gcppubsub.SubscriberOptions{Connection: gcppubsub.Connection{Emulator: s.Addr, Timeout: 300 * time.Millisecond}})
	begin = time.Now()
	if _, err := sub.Subscribe(t.Context(), "idle"); err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("without a server Subscribe says %v after %v", err, time.Since(begin))
	}
}

// closed is closed when in is.
func closed[T any](in <-chan T) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range in {
		}
	}()
	return done
}
