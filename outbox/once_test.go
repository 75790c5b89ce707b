package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// seeds is how many runs a randomized test does: 1000 in a soak run.
func seeds(short uint64) uint64 {
	if os.Getenv("ROLLFORWARD_SOAK") == "1" {
		return 1000
	}
	return short
}

// TestEveryStepIsRolledForwardOnce: processes come and go on a store that fails
// calls, loses answers, applies writes late, and crashes between any two calls.
// In the end each step that was committed has had its effect exactly once, and
// none that was not.
func TestEveryStepIsRolledForwardOnce(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { (&storm{T: t, store: memlog.NewStore(), seed: seed}).run() })
		})
	}
}

// few shards are enough to have all kinds of commits, and cost less.
var few = &eventlog.Options{Shards: 4}

// A storm is one run of the test.
type storm struct {
	*testing.T
	store *memlog.Store
	seed  uint64

	mu     sync.Mutex
	next   int
	stored map[int]error // of each relay that was enqueued: how it was answered
}

func (s *storm) run() {
	s.stored = make(map[int]error)
	for round := range uint64(3) {
		var processes sync.WaitGroup
		for p := range uint64(2) {
			processes.Go(func() { s.process(rand.New(rand.NewPCG(s.seed, 2*round+p))) })
		}
		processes.Wait()
	}
	l := openWith(s.T, s.store, few)
	drain(s.T, s.runner(l))
	if list := pending(s.T, l); len(list) != 0 {
		s.Errorf("seed %d: %d pending: %+v", s.seed, len(list), list[0])
	}
	if list := dead(s.T, l); len(list) != 0 {
		s.Errorf("seed %d: dead letters: %+v", s.seed, list)
	}
	s.judge(l)
}

func (s *storm) runner(l *eventlog.Log) *outbox.Runner {
	h := relaying
	h.Policy.Attempts = -1
	return &outbox.Runner{Log: l, Handlers: []outbox.Handler{h}, Batch: 5, ReadAhead: 8, Sweep: 200 * time.Millisecond, Grace: 100 * time.Millisecond}
}

// process is the life of a process: it opens the log, runs a runner, enqueues
// steps, and crashes.
func (s *storm) process(r *rand.Rand) {
	faulty := drivertest.NewFaulty(s.store.Open(), drivertest.Chaos(r.Uint64(), drivertest.Even))
	store := driver.Log(faulty)
	if r.IntN(2) == 0 { // whose writes may be moved
		store = faulty.Mover()
	}
	var l *eventlog.Log
	for l == nil {
		l, _ = eventlog.Open(context.Background(), store, few)
	}
	life := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
	ctx, crash := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.runner(l).Run(ctx); err != nil {
			s.Errorf("run: %v", err)
		}
	})
	work.Go(func() {
		for range 15 {
			s.enqueue(ctx, l, r)
		}
	})
	time.Sleep(life)
	faulty.Inject(func(c drivertest.Call) drivertest.Fault {
		if c.Method == "Write" {
			return drivertest.Fault{Kind: drivertest.Drop}
		}
		return drivertest.Fault{Kind: drivertest.Fail}
	})
	crash()
	work.Wait()
	_ = l.Close()
	faulty.Deliver(context.Background()) // what was under way when it crashed
}

func (s *storm) enqueue(ctx context.Context, l *eventlog.Log, r *rand.Rand) {
	s.mu.Lock()
	n := s.next
	s.next++
	s.mu.Unlock()
	way := make([]string, 1+r.IntN(4))
	for i := range way {
		way[i] = fmt.Sprintf("a/%d", r.IntN(6))
	}
	way[len(way)-1] = "end/0"
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		if err := tx.Append(way[0], Added{-1}); err != nil {
			return err
		}
		return outbox.Enqueue(tx, Relay{way, n})
	})
	s.mu.Lock()
	s.stored[n] = err
	s.mu.Unlock()
}

// judge counts the ends of the ways.
func (s *storm) judge(l *eventlog.Log) {
	times := map[int]int{}
	for _, n := range added(s.T, l, "end/0") {
		times[n]++
	}
	acknowledged := 0
	for n, err := range s.stored {
		switch {
		case err == nil:
			acknowledged++
			if times[n] != 1 {
				s.Errorf("seed %d: step %d was acknowledged and had its effect %d times", s.seed, n, times[n])
			}
		case errors.Is(err, eventlog.ErrUnknown):
			if times[n] > 1 {
				s.Errorf("seed %d: step %d had its effect %d times", s.seed, n, times[n])
			}
		case times[n] != 0:
			s.Errorf("seed %d: step %d was refused (%v) and had its effect %d times", s.seed, n, err, times[n])
		}
	}
	if acknowledged < len(s.stored)/4 {
		s.Errorf("seed %d: only %d of %d were acknowledged: the test shows little", s.seed, acknowledged, len(s.stored))
	}
}
