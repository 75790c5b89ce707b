package datastorelog

import (
	"context"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
)

// heads is what this process knows of the ends of shards. It may be behind, and
// is never ahead.
type heads struct {
	mu     sync.Mutex
	shards map[int]*head
}

// A head is the last block of a shard as far as known, with what is needed to be
// fair to other processes.
type head struct {
	place
	won     time.Time     // when this process put it there; zero: another did
	rivals  time.Time     // when another process was last seen to write here
	journey time.Duration // that a Write lately took
}

// place is where a shard ends.
type place struct {
	last  driver.Revision
	block uint64
}

// get returns what is known of a shard.
func (h *heads) get(shard int) (p place, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.shards[shard]
	if e == nil {
		return place{}, false
	}
	return e.place, true
}

func (h *heads) entry(shard int) *head {
	e := h.shards[shard]
	if e == nil {
		if h.shards == nil {
			h.shards = make(map[int]*head)
		}
		e = new(head)
		h.shards[shard] = e
	}
	return e
}

// learn notes a place that was seen in the store.
func (h *heads) learn(shard int, p place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(shard)
	if p.block <= e.block {
		return
	}
	if e.block > 0 {
		e.rivals = time.Now()
	}
	e.place, e.won = p, time.Time{}
}

// write notes a place that this process took, and how long it took.
func (h *heads) write(shard int, p place, journey time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(shard)
	e.journey = journey
	if p.block > e.block {
		e.place, e.won = p, time.Now()
	}
}

// rivalry is how long a shard counts as contended.
const rivalry = 2 * time.Second

// courtesy returns how long to wait before the next block of a shard. Whoever won
// knows the new tail a journey earlier than those who lost, and would win for
// ever: where there are rivals it gives them a random part of that.
func (h *heads) courtesy(shard int, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.shards[shard]
	if e == nil || e.won.IsZero() || e.journey <= 0 || now.Sub(e.rivals) > rivalry {
		return 0
	}
	return jitter.N(2*e.journey) - now.Sub(e.won)
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
