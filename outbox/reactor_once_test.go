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

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// quick is a reactor that finds out soon that others died.
func quick(l *eventlog.Log) *outbox.Reactor {
	r := seeing(l)
	r.Batch, r.Lease, r.Grace = 3, 600*time.Millisecond, 100*time.Millisecond
	return r
}

// TestEachEventIsReactedToOnce: processes come and go on a store that fails
// calls, loses answers, applies writes late, and crashes between any two calls.
// In the end there is one effect of each event, in the order of its stream.
func TestEachEventIsReactedToOnce(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { reactorStorm(t, seed) })
		})
	}
}

func reactorStorm(t *testing.T, seed uint64) {
	store := memlog.NewStore()
	for round := range uint64(3) {
		var processes sync.WaitGroup
		for p := range uint64(3) {
			processes.Go(func() { reactorProcess(t, store, rand.New(rand.NewPCG(seed, 3*round+p))) })
		}
		processes.Wait()
	}
	l := openWith(t, store, few)
	r := quick(l)
	startRun(t, r)
	time.Sleep(time.Minute)
	if err := r.Health(context.Background()); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	events := 0
	for i := range 6 {
		stream := fmt.Sprintf("a/%d", i)
		want, got := added(t, l, stream), seen(t, l, stream)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: %s has %v, reacted to %v", seed, stream, want, got)
		}
		events += len(want)
	}
	if events < 40 {
		t.Errorf("seed %d: only %d events: the test shows little", seed, events)
	}
}

// reactorProcess is the life of a process that appends and reacts, and crashes.
func reactorProcess(t *testing.T, store *memlog.Store, r *rand.Rand) {
	faulty := drivertest.NewFaulty(store.Open(), drivertest.Chaos(r.Uint64(), drivertest.Even))
	var l *eventlog.Log
	for l == nil {
		l, _ = eventlog.Open(context.Background(), faulty, few)
	}
	life := time.Duration(r.Int64N(int64(time.Second)))
	ctx, crash := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := quick(l).Run(ctx); err != nil {
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

// deadProcess is the plan of a process that is dead.
func deadProcess(c drivertest.Call) drivertest.Fault {
	if c.Method == "Write" {
		return drivertest.Fault{Kind: drivertest.Drop}
	}
	return drivertest.Fault{Kind: drivertest.Fail}
}

// TestReactorCrashBetweenAnyTwoCalls: wherever a process dies, whether its last
// write is lost, was done, or is done when the next one is at work.
func TestReactorCrashBetweenAnyTwoCalls(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Drop, drivertest.Lose, drivertest.Late} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for n, died := 1, true; died; n++ {
				synctest.Test(t, func(t *testing.T) { died = reactorCrash(t, n, kind) })
				if t.Failed() || n > 1000 {
					t.Fatalf("the process died in call %d", n)
				}
			}
		})
	}
}

// reactorCrash reports whether the process died before it had reacted to all.
func reactorCrash(t *testing.T, n int, kind drivertest.Kind) (died bool) {
	store := memlog.NewStore()
	l := openWith(t, store, few)
	add(t, l, "a/1", 1, 2, 3, 4, 5)
	add(t, l, "a/2", 1)
	faulty := drivertest.NewFaulty(store.Open(), func(c drivertest.Call) drivertest.Fault {
		switch {
		case c.Total < n:
			return drivertest.Fault{}
		case c.Total == n && c.Method == "Write":
			return drivertest.Fault{Kind: kind}
		}
		return deadProcess(c)
	})
	died = func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		doomed, err := eventlog.Open(ctx, faulty, few)
		if err != nil {
			return true
		}
		defer doomed.Close()
		return quick(doomed).Drain(ctx) != nil
	}()
	drainReactor(t, quick(l))
	faulty.Deliver(context.Background())
	drainReactor(t, quick(l))
	for _, s := range []string{"a/1", "a/2"} {
		if want, got := added(t, l, s), seen(t, l, s); !slices.Equal(got, want) {
			t.Errorf("%s has %v, reacted to %v", s, want, got)
		}
	}
	return died
}
