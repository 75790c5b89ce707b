package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// Pay asks the outside world for something.
type Pay struct {
	Account string
	Cents   int
}

func (Pay) StepType() string { return "test.pay" }
func (p Pay) Target() string { return p.Account }

// world is the outside: it knows requests by their keys.
type world struct {
	mu    sync.Mutex
	calls int
	paid  map[string]int
	say   func(call int) error // what a call answers, after it had its effect
}

func (w *world) pay(_ context.Context, key string, p Pay) (outbox.Step, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paid == nil {
		w.paid = make(map[string]int)
	}
	w.calls++
	w.paid[key] += 1
	if w.say != nil {
		if err := w.say(w.calls); err != nil {
			return nil, err
		}
	}
	return Add{p.Account, p.Cents}, nil
}

// TestEffect: an effect is tried until it succeeds, always under the same key,
// and its result is recorded once.
func TestEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		w := &world{say: func(call int) error {
			switch call {
			case 1:
				return errors.New("no answer")
			case 2:
				panic("out of paper")
			}
			return nil
		}}
		enqueue(t, l, Pay{"a/1", 7})
		start(t, calm(l, outbox.Effect(w.pay, nil)))
		sleep(time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{7}) || w.calls != 3 || len(w.paid) != 1 {
			t.Errorf("%v after %d calls with %d keys", got, w.calls, len(w.paid))
		}
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d pending", n)
		}
	})
}

// TestEffectThatHangs ends with its timeout; meanwhile other targets go on, also
// other effects.
func TestEffectThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		h := outbox.Effect(func(ctx context.Context, _ string, p Pay) (outbox.Step, error) {
			if p.Account != "fine/1" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return Add{p.Account, p.Cents}, nil
		}, &outbox.Policy{Timeout: time.Minute, Attempts: 2, Backoff: time.Second})
		var steps []outbox.Step
		for i := range 10 {
			steps = append(steps, Pay{fmt.Sprintf("a/%d", i), i})
		}
		enqueue(t, l, append(steps, Pay{"fine/1", 1}, Add{"b/1", 1})...)
		start(t, calm(l, h))
		sleep(time.Second)
		if a, b := added(t, l, "fine/1"), added(t, l, "b/1"); len(a) != 1 || len(b) != 1 {
			t.Errorf("others: %v, %v", a, b)
		}
		sleep(10 * time.Minute)
		list := dead(t, l)
		if len(list) != 10 || list[0].Attempts != 2 || !strings.Contains(list[0].Err, "timeout after 1m0s") {
			t.Errorf("dead letters: %+v", list)
		}
	})
}

// TestEffectRunTwice: two runners may run an effect at once; its result is
// recorded once.
func TestEffectRunTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l, other := open(t, store), open(t, store)
		enqueue(t, l, Pay{"a/1", 7})
		var calls atomic.Int32
		slow := outbox.Effect(func(ctx context.Context, key string, p Pay) (outbox.Step, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return Add{p.Account, p.Cents}, nil
		}, nil)
		done := make(chan error, 2)
		for _, l := range []*eventlog.Log{l, other} { // a Drain works without the lease, too
			go func() { done <- runner(l, slow, adding).Drain(context.Background()) }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{7}) || calls.Load() != 2 {
			t.Errorf("%v after %d calls", got, calls.Load())
		}
	})
}

// TestEffectWithAWrongResult is dead: to call again would not help.
func TestEffectWithAWrongResult(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	enqueue(t, l, Pay{"a/1", 7})
	calls := 0
	drain(t, runner(l, outbox.Effect(func(context.Context, string, Pay) (outbox.Step, error) {
		calls++
		return Add{"", 7}, nil
	}, nil)))
	if list := dead(t, l); len(list) != 1 || calls != 1 {
		t.Errorf("%+v after %d calls", list, calls)
	}
}

// TestEffectAtShutdown: a runner that stops does not count an attempt that it
// broke off.
func TestEffectAtShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		enqueue(t, l, Pay{"a/1", 7})
		h := outbox.Effect(func(ctx context.Context, _ string, p Pay) (outbox.Step, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, &outbox.Policy{Timeout: time.Hour})
		stop := start(t, calm(l, h))
		sleep(time.Minute)
		stop()
		if list := pending(t, l); len(list) != 1 || list[0].Attempts != 0 {
			t.Errorf("%+v", list)
		}
	})
}
