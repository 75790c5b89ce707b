package outbox_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// A mailbox is a subscriber that delivers each message again until it is acked,
// and more often if told so.
type mailbox struct {
	twice bool // each message is delivered by two goroutines

	mu        sync.Mutex
	waiting   []*message.Message
	delivered int
	acked     map[string]int
	nacked    map[string]int
	fails     int // subscriptions to fail
}

func newMailbox() *mailbox {
	return &mailbox{acked: make(map[string]int), nacked: make(map[string]int)}
}

func (b *mailbox) post(list ...*message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range list {
		b.waiting = append(b.waiting, m)
		if b.twice {
			b.waiting = append(b.waiting, m)
		}
	}
}

func (b *mailbox) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails > 0 {
		b.fails--
		return nil, errBroker
	}
	out := make(chan *message.Message)
	go b.deliver(ctx, out)
	return out, nil
}

func (b *mailbox) Close() error { return nil }

func (b *mailbox) deliver(ctx context.Context, out chan *message.Message) {
	var work sync.WaitGroup
	defer close(out)
	defer work.Wait()
	for ctx.Err() == nil {
		m := b.next()
		if m == nil {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		again := m.Copy()
		again.SetContext(ctx)
		select {
		case out <- again:
			work.Go(func() { b.await(ctx, m, again) })
		case <-ctx.Done():
			b.back(m)
		}
	}
}

func (b *mailbox) next() *message.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	m := b.waiting[0]
	b.waiting = b.waiting[1:]
	b.delivered++
	return m
}

func (b *mailbox) back(m *message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, m)
}

func (b *mailbox) await(ctx context.Context, m, delivered *message.Message) {
	select {
	case <-delivered.Acked():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.acked[m.UUID]++
		return
	case <-delivered.Nacked():
		b.mu.Lock()
		b.nacked[m.UUID]++
		b.mu.Unlock()
	case <-ctx.Done():
	}
	b.back(m)
}

// counts returns how many deliveries were acked and nacked.
func (b *mailbox) counts() (acked, nacked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.acked {
		acked += n
	}
	for _, n := range b.nacked {
		nacked += n
	}
	return acked, nacked
}

// letter is a message that asks for Add.
func letter(uuid, to string, n int) *message.Message {
	data, err := json.Marshal(Add{to, n})
	if err != nil {
		panic(err)
	}
	return message.NewMessage(uuid, data)
}

func addStep(m *message.Message) (outbox.Step, error) {
	var a Add
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		return nil, outbox.Abort(err)
	}
	return a, nil
}

func receiving(l *eventlog.Log, b *mailbox) *outbox.Inbox {
	return &outbox.Inbox{Log: l, Name: "adds", Subscriber: b, Topic: "adds", Step: addStep}
}

// steps returns the numbers of the pending steps.
func steps(t testing.TB, l *eventlog.Log) (list []int) {
	t.Helper()
	for _, i := range pending(t, l) {
		var a Add
		if err := json.Unmarshal(i.Data, &a); err != nil {
			t.Fatal(err)
		}
		list = append(list, a.N)
	}
	slices.Sort(list)
	return list
}
