package datastoresink

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/projection"
)

// turns keep several runners of one projection out of each other's way. All of them
// hear of an event at the same time, and where reads lock, two transactions that have
// both read a checkpoint wait for each other until one is given up, two seconds later.
// So the one who was second the last time lets the first one go ahead, and looks
// before it begins. And where shards of a projection write the same rows, those of this
// process go one after another for a while. Nothing but speed depends on all this.
type turns struct {
	mu     sync.Mutex
	second map[turn]bool
	alone  map[string]*alone // of each projection
}

// alone lets the transactions of a projection go one by one after a conflict.
type alone struct {
	*semaphore.Weighted
	until time.Time
	span  time.Duration // of the last time
}

type turn struct {
	name  string
	shard int
}

// courtesy is how long the second waits at least: about as long as a transaction takes.
const courtesy = 100 * time.Millisecond

// wait waits if it is somebody else's turn, and reports that.
func (t *turns) wait(ctx context.Context, b projection.Batch) bool {
	t.mu.Lock()
	second := false
	for _, m := range b.Moves {
		second = second || t.second[turn{b.Name, m.To.Shard}]
	}
	t.mu.Unlock()
	if !second {
		return false
	}
	jitter.Pause(ctx, courtesy+jitter.N(courtesy))
	return true
}

const (
	firstAlone = time.Second // a conflict may be by chance, or with another process
	lastAlone  = time.Minute
	everyone   = 1 << 30
)

// conflict notes that transactions that ran side by side were in each other's way: they
// go one by one for a second, and for twice as long each time that it happens again
// as soon as they may.
func (a *alone) conflict(now time.Time) {
	switch {
	case now.Before(a.until): // they do not run side by side
		return
	case now.Sub(a.until) < a.span:
		a.span = min(2*a.span, lastAlone)
	default:
		a.span = firstAlone
	}
	a.until = now.Add(a.span)
}

// run runs a transaction of a projection when its turn has come: after a conflict, alone.
func (t *turns) run(ctx context.Context, name string, conflict bool, transaction func() error) error {
	t.mu.Lock()
	if t.alone == nil {
		t.alone = make(map[string]*alone)
	}
	a := t.alone[name]
	if a == nil {
		a = &alone{Weighted: semaphore.NewWeighted(everyone)}
		t.alone[name] = a
	}
	now, n := time.Now(), int64(1)
	if conflict {
		a.conflict(now)
	}
	if now.Before(a.until) {
		n = everyone
	}
	t.mu.Unlock()
	if err := a.Acquire(ctx, n); err != nil {
		return err
	}
	defer a.Release(n)
	return transaction()
}

// taken learns from how an Apply ended.
func (t *turns) taken(b projection.Batch, err error) {
	if err != nil && !errors.Is(err, projection.ErrMoved) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.second == nil {
		t.second = make(map[turn]bool)
	}
	for _, m := range b.Moves {
		if err == nil {
			delete(t.second, turn{b.Name, m.To.Shard})
		} else {
			t.second[turn{b.Name, m.To.Shard}] = true
		}
	}
}
