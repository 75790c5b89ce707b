package outbox_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestInboxNacks what fails, with pauses, and holds nobody else up; panics are
// failures. nil without an error leaves no trace.
func TestInboxNacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		var attempts atomic.Int64
		var mended atomic.Bool
		i := receiving(l, b)
		i.Concurrency = 2
		i.Hooks.Failed = func(_ *message.Message, attempt int, _ error) {
			for a := attempts.Load(); int64(attempt) > a && !attempts.CompareAndSwap(a, int64(attempt)); a = attempts.Load() {
			}
		}
		i.Step = func(m *message.Message) (outbox.Step, error) {
			switch {
			case mended.Load():
			case m.UUID == "none":
				return nil, nil
			case strings.HasPrefix(m.UUID, "fail"):
				return nil, errFail
			case strings.HasPrefix(m.UUID, "panic"):
				panic("no")
			}
			return addStep(m)
		}
		startRun(t, i)
		for n := range 10 {
			b.post(letter(fmt.Sprint("fail", n), "a/1", n), letter(fmt.Sprint("panic", n), "a/1", 10+n))
		}
		b.post(letter("none", "a/1", 99))
		time.Sleep(10 * time.Second)
		for n := range 10 {
			b.post(letter(fmt.Sprint("good", n), "a/1", 20+n))
		}
		begin := time.Now()
		for len(steps(t, l)) < 10 {
			time.Sleep(10 * time.Millisecond)
			if time.Since(begin) > time.Second {
				t.Fatalf("steps %v", steps(t, l))
			}
		}
		time.Sleep(10 * time.Minute)
		if _, nacked := b.counts(); nacked < 20*10 || nacked > 20*40 || attempts.Load() < 10 {
			t.Errorf("%d nacked, %d attempts", nacked, attempts.Load())
		}
		if err := i.Health(t.Context()); !errors.Is(err, errFail) && !strings.Contains(fmt.Sprint(err), "panic") || !strings.Contains(fmt.Sprint(err), "20 messages") {
			t.Errorf("health: %v", err)
		}
		mended.Store(true)
		time.Sleep(2 * time.Minute)
		if got := len(steps(t, l)); got != 30 {
			t.Errorf("mended: %d steps", got)
		}
		if err := i.Health(t.Context()); err != nil {
			t.Errorf("mended: %v", err)
		}
	})
}

// TestInboxForgetsFailures of messages that do not come again.
func TestInboxForgetsFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		i := receiving(l, b)
		i.Step = func(*message.Message) (outbox.Step, error) { return nil, errFail }
		i.MaxBackoff = time.Second
		startRun(t, i)
		b.post(letter("1", "a/1", 1))
		time.Sleep(30 * time.Second)
		if err := i.Health(t.Context()); !errors.Is(err, errFail) {
			t.Errorf("health: %v", err)
		}
		b.mu.Lock()
		b.waiting = nil
		b.mu.Unlock()
		for b.takeAll() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(11 * time.Minute)
		if err := i.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestInboxRemembersSoManyFailures: their number is bounded.
func TestInboxRemembersSoManyFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), newMailbox()
		i := receiving(l, b)
		i.Concurrency, i.Backoff = 1000, time.Minute
		i.Step = func(*message.Message) (outbox.Step, error) { return nil, errFail }
		for n := range 5000 {
			b.post(letter(fmt.Sprint("m", n), "a/1", n))
		}
		startRun(t, i)
		time.Sleep(time.Second)
		var n int
		if _, err := fmt.Sscanf(i.Health(t.Context()).Error(), "outbox: inbox adds: %d messages", &n); err != nil || n < 500 || n > 4096 {
			t.Errorf("%d remembered, %v", n, err)
		}
	})
}

// takeAll takes away what waits, as another subscriber does.
func (b *mailbox) takeAll() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.waiting)
	b.waiting = nil
	return n
}
