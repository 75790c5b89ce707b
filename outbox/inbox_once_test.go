package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestEachMessageBecomesAStepOnce: processes come and go, on a store that fails
// calls, loses answers and applies writes late, with a broker that delivers each
// message until it is acked, and twice. In the end each message is one step.
func TestEachMessageBecomesAStepOnce(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { inboxStorm(t, seed) })
		})
	}
}

func inboxStorm(t *testing.T, seed uint64) {
	store, b := memlog.NewStore(), newMailbox()
	b.twice = true
	const many = 60
	for n := range many {
		b.post(letter(fmt.Sprint("m", n), fmt.Sprintf("a/%d", n%5), n))
	}
	for round := range uint64(3) {
		var processes sync.WaitGroup
		for p := range uint64(3) {
			processes.Go(func() { inboxProcess(t, store, b, rand.New(rand.NewPCG(seed, 3*round+p))) })
		}
		processes.Wait()
	}
	l := openWith(t, store, few)
	startRun(t, receiving(l, b))
	time.Sleep(5 * time.Minute)
	acked, nacked := b.counts()
	if got := steps(t, l); len(got) != many || len(slices.Compact(got)) != many || acked != 2*many {
		t.Errorf("seed %d: %d acked, steps %v", seed, acked, got)
	}
	if nacked == 0 {
		t.Errorf("seed %d: none was nacked: the test shows little", seed)
	}
}

func inboxProcess(t *testing.T, store *memlog.Store, b *mailbox, r *rand.Rand) {
	faulty := drivertest.NewFaulty(store.Open(), drivertest.Chaos(r.Uint64(), drivertest.Even))
	var l *eventlog.Log
	for l == nil {
		l, _ = eventlog.Open(context.Background(), faulty, few)
	}
	life := time.Duration(r.Int64N(int64(30 * time.Millisecond)))
	ctx, crash := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		i := receiving(l, b)
		i.Grace, i.Concurrency = 100*time.Millisecond, 4
		if err := i.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	time.Sleep(life)
	faulty.Inject(deadProcess)
	crash()
	work.Wait()
	_ = l.Close()
	faulty.Deliver(context.Background())
}

// TestInboxInARouter: the router's middleware applies, errors nack with pauses,
// and what Run would refuse the router's Run refuses.
func TestInboxInARouter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := newMailbox()
		router, err := message.NewRouter(message.RouterConfig{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		var mu sync.Mutex
		router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				mu.Lock()
				seen++
				mu.Unlock()
				return next(m)
			}
		})
		i := receiving(l, nil)
		i.Subscriber, i.Topic = nil, ""
		i.Step = func(m *message.Message) (outbox.Step, error) {
			if m.UUID == "bad" {
				return nil, errFail
			}
			return addStep(m)
		}
		i.AddTo(router, "adds", b)
		done := make(chan error, 1)
		go func() { done <- router.Run(context.Background()) }()
		b.post(letter("1", "a/1", 1), letter("1", "a/1", 1), letter("bad", "a/1", 2), message.NewMessage("x", nil))
		time.Sleep(time.Minute)
		acked, nacked := b.counts()
		mu.Lock()
		if acked != 3 || nacked < 5 || nacked > 20 || seen < acked+nacked || !slices.Equal(steps(t, l), []int{1}) {
			t.Errorf("%d acked, %d nacked, %d through the middleware, steps %v", acked, nacked, seen, steps(t, l))
		}
		mu.Unlock()
		if err := i.Health(t.Context()); !errors.Is(err, errFail) {
			t.Errorf("health: %v", err)
		}
		if list := refusedMessages(t, i); len(list) != 1 || list[0].Topic != "adds" {
			t.Errorf("refused %+v", list)
		}
		if err := router.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		router, err = message.NewRouter(message.RouterConfig{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		(&outbox.Inbox{Log: l, Name: "x"}).AddTo(router, "adds", b)
		if err := router.Run(t.Context()); err == nil {
			t.Error("an Inbox without a Step runs in a router")
		}
	})
}
