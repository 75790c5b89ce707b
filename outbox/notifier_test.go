package outbox_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/doorbell"
	"github.com/rollforward/rollforward/outbox"
)

// slowPublisher blocks in each call until it is let go, and then fails as told.
type slowPublisher struct {
	gate chan error
	mu   sync.Mutex
	sent [][]doorbell.Bell
}

func (p *slowPublisher) Publish(topic string, messages ...*message.Message) error {
	var bells []doorbell.Bell
	for _, m := range messages {
		b, err := doorbell.Decode(m)
		if err != nil {
			panic(err)
		}
		bells = append(bells, b)
	}
	p.mu.Lock()
	p.sent = append(p.sent, bells)
	p.mu.Unlock()
	return <-p.gate
}

func (p *slowPublisher) Close() error { return nil }

// TestNotifierHoldsUpNobody: while a message is being published, commits go on;
// what they would have sent is merged, and sent also when the publisher failed
// or the notifier ends.
func TestNotifierHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		p := &slowPublisher{gate: make(chan error)}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- (&outbox.Notifier{Log: l, Publisher: p, Name: "bank"}).Run(ctx) }()
		synctest.Wait()
		var at eventlog.Position
		appendOne := func() {
			var err error
			if at, err = l.Append(context.Background(), "a/1", nil, Added{1}); err != nil {
				t.Fatal(err)
			}
		}
		appendOne()
		synctest.Wait()
		for range 100 {
			appendOne()
		}
		p.gate <- errors.New("no broker")
		synctest.Wait()
		appendOne()
		cancel()
		close(p.gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
		appendOne() // nobody listens any more
		shard := l.ShardOf("a/1")
		want := []doorbell.Bell{{Log: "bank", Shard: shard, Revision: 1}, {Log: "bank", Shard: shard, Revision: 101}, {Log: "bank", Shard: shard, Revision: 102}}
		if len(p.sent) != len(want) {
			t.Fatalf("sent %v", p.sent)
		}
		for i, bells := range p.sent {
			if len(bells) != 1 || bells[0] != want[i] {
				t.Errorf("message %d: %v, want %v", i, bells, want[i])
			}
		}
		if at.Revision(shard) != 103 {
			t.Errorf("at %v", at)
		}
	})
}

func TestNotifierRefuses(t *testing.T) {
	t.Parallel()
	for _, n := range []*outbox.Notifier{{}, {Log: eventlogtest.New(t)}, {Publisher: &slowPublisher{}}} {
		if err := n.Run(t.Context()); err == nil {
			t.Errorf("%+v runs", n)
		}
	}
}

// TestAbortedUpdateNotifiesNobody.
func TestAbortedUpdateNotifiesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		p := &slowPublisher{gate: make(chan error)}
		close(p.gate)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- (&outbox.Notifier{Log: l, Publisher: p}).Run(ctx) }()
		synctest.Wait()
		boom := errors.New("boom")
		_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
			if err := outbox.Enqueue(tx, Add{"a/1", 1}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if err := <-done; err != nil || len(p.sent) != 0 {
			t.Errorf("%v, sent %v", err, p.sent)
		}
	})
}
