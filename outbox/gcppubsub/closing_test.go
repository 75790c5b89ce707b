package gcppubsub_test

import (
	"testing"
	"time"

	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// TestCloseWhileSubscribing: Close does not wait for a Subscribe whose server is away.
func TestCloseWhileSubscribing(t *testing.T) {
	t.Parallel()
	c := to(t, freeAddress(t))
	c.Grace = 300 * time.Millisecond
	for name, call := range map[string]func(*gcppubsub.Subscriber) error{
		"Subscribe":           func(s *gcppubsub.Subscriber) error { _, err := s.Subscribe(t.Context(), "bells"); return err },
		"SubscribeInitialize": func(s *gcppubsub.Subscriber) error { return s.SubscribeInitialize("bells") },
	} {
		o := gcppubsub.SubscriberOptions{Connection: c}
		if name == "SubscribeInitialize" {
			o.Group = "g"
		}
		sub := subscriber(t, o)
		answer, timer := make(chan error, 1), time.NewTimer(100*time.Millisecond)
		go func() { answer <- call(sub) }()
		<-timer.C // it is under way, or will find the Subscriber closed
		begin := time.Now()
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
		if err, took := <-answer, time.Since(begin); err == nil || took > 3*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
}
