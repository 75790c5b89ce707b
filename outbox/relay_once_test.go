package outbox_test

import (
	"context"
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

// quickRelay is a relay that finds out soon that others died.
func quickRelay(l *eventlog.Log, b *broker) *outbox.Relay {
	r := publishing(l, b)
	r.Batch, r.Pipeline, r.Window = 3, 4, 20
	r.Lease, r.Grace = 600*time.Millisecond, 100*time.Millisecond
	r.MaxBackoff = time.Second
	return r
}

// unreliable is a broker that takes its time, refuses, and loses answers.
func unreliable(seed uint64) *broker {
	b := &broker{}
	r := rand.New(rand.NewPCG(seed, 0))
	b.plan = func(*message.Message) (before, after error) {
		b.mu.Lock()
		wait, luck := time.Duration(r.Int64N(int64(20*time.Millisecond))), r.IntN(10)
		b.mu.Unlock()
		time.Sleep(wait)
		switch luck {
		case 0:
			return errBroker, nil
		case 1:
			return nil, errBroker
		}
		return nil, nil
	}
	return b
}

// TestEachEventIsPublished: processes come and go, on a store that fails calls,
// loses answers and applies writes late, with a broker that refuses and loses
// answers. In the end the broker got each event, and those of a stream first in
// their order.
func TestEachEventIsPublished(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { relayStorm(t, seed) })
		})
	}
}

func relayStorm(t *testing.T, seed uint64) {
	store, b := memlog.NewStore(), unreliable(seed)
	for round := range uint64(3) {
		var processes sync.WaitGroup
		for p := range uint64(3) {
			processes.Go(func() { relayProcess(t, store, b, rand.New(rand.NewPCG(seed, 3*round+p))) })
		}
		processes.Wait()
	}
	l := openWith(t, store, few)
	r := quickRelay(l, b)
	stop := startRun(t, r)
	time.Sleep(time.Minute)
	if err := r.Health(context.Background()); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	stop()
	events := 0
	for i := range 6 {
		stream := fmt.Sprintf("a/%d", i)
		want := upTo(len(added(t, l, stream)))
		if got := b.firsts(t, stream); !slices.Equal(got, want) {
			t.Errorf("seed %d: %s has %d events, published as %v", seed, stream, len(want), got)
		}
		events += len(want)
	}
	if events < 40 {
		t.Errorf("seed %d: only %d events: the test shows little", seed, events)
	}
	s, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range s {
		if s.Revision != s.Tail {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

func relayProcess(t *testing.T, store *memlog.Store, b *broker, r *rand.Rand) {
	faulty := drivertest.NewFaulty(store.Open(), drivertest.Chaos(r.Uint64(), drivertest.Even))
	var l *eventlog.Log
	for l == nil {
		l, _ = eventlog.Open(context.Background(), faulty, few)
	}
	life := time.Duration(r.Int64N(int64(time.Second)))
	ctx, crash := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := quickRelay(l, b).Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	work.Go(func() {
		for i := range 15 {
			_, _ = l.Append(ctx, fmt.Sprintf("a/%d", r.IntN(6)), nil, Added{i}, Added{-i})
			time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
		}
	})
	time.Sleep(life)
	faulty.Inject(deadProcess)
	crash()
	work.Wait()
	_ = l.Close()
	faulty.Deliver(context.Background())
}

// TestRelayCursorFollowsTheBroker: the cursor does not pass what the broker has
// not taken, so that a crash at any time loses nothing; another takes over within
// the lease time.
func TestRelayCursorFollowsTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		faulty := drivertest.NewFaulty(store.Open(), nil)
		dying, err := eventlog.Open(t.Context(), faulty, few)
		if err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		slow := &broker{plan: func(m *message.Message) (before, after error) {
			if m.Metadata[outbox.MetadataStreamVersion] != "1" {
				<-gate
			}
			return nil, nil
		}}
		r := quickRelay(dying, slow)
		r.Batch = 1
		stop := startRun(t, r)
		for i := range 5 {
			add(t, l, "a/1", i)
		}
		time.Sleep(10 * time.Second)
		shard := l.ShardOf("a/1")
		if s, err := r.Status(t.Context()); err != nil || s[shard].Revision != 1 || s[shard].Tail != 5 {
			t.Errorf("%+v, %v", s[shard], err)
		}
		faulty.Inject(deadProcess)
		stop()
		crash := time.Now()
		b := &broker{}
		next := quickRelay(l, b)
		startRun(t, next)
		for len(b.firsts(t, "a/1")) < 4 {
			time.Sleep(10 * time.Millisecond)
			if d := time.Since(crash); d > next.Lease+100*time.Millisecond {
				t.Fatalf("not taken over after %v", d)
			}
		}
		if got := b.firsts(t, "a/1"); !slices.Equal(got, []int{2, 3, 4, 5}) {
			t.Errorf("published %v", got)
		}
		close(gate)
		_ = dying.Close()
	})
}

// TestRelaySleeper: a holder that falls asleep with a call under way loses its
// shards; when it wakes after a minute it cannot move the cursor.
func TestRelaySleeper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		faulty := drivertest.NewFaulty(store.Open(), nil)
		sleeper, err := eventlog.Open(t.Context(), faulty, few)
		if err != nil {
			t.Fatal(err)
		}
		defer sleeper.Close()
		wake := make(chan struct{})
		asleep := &broker{plan: func(*message.Message) (before, after error) { <-wake; return nil, nil }}
		first := quickRelay(sleeper, asleep)
		first.Grace = time.Hour // so that it does finish what it has in hand
		stop := startRun(t, first)
		defer stop()
		add(t, l, "a/1", 1, 2)
		time.Sleep(2 * time.Second)
		faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Before: wake} })
		b := &broker{plan: func(m *message.Message) (before, after error) {
			if m.Metadata[outbox.MetadataStreamVersion] == "2" {
				return errBroker, nil
			}
			return nil, nil
		}}
		next := quickRelay(l, b)
		startRun(t, next)
		time.Sleep(time.Minute)
		if got := b.firsts(t, "a/1"); !slices.Equal(got, []int{1}) {
			t.Errorf("taken over: %v", got)
		}
		faulty.Inject(nil)
		close(wake)
		time.Sleep(time.Millisecond)
		if got := asleep.firsts(t, "a/1"); len(got) == 0 {
			t.Error("the sleeper published nothing: the test shows little")
		}
		shard := l.ShardOf("a/1")
		if s, err := next.Status(t.Context()); err != nil || s[shard].Revision != 0 {
			t.Errorf("the sleeper moved the cursor: %+v, %v", s[shard], err)
		}
		time.Sleep(10 * time.Second)
	})
}
