package datastorelog

import (
	"context"
	"slices"
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
	before  []place               // known ones, the last of them is place
	won     time.Time             // when this process put it there; zero: another did
	journey time.Duration         // that a Write lately took
	rivals  map[process]time.Time // when others were last seen to write here
	streak  int                   // places taken one after the other
	trust   int                   // streak after which it looks for rivals that it may have shut out
}

// A process names an open Log in the blocks that it writes.
type process [8]byte

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

// keptPlaces is how many places of a shard are remembered, about: who reads on from a
// moment ago then need not ask the index where that is.
const keptPlaces = 256

// put makes p the last place.
func (e *head) put(p place) {
	e.place = p
	if e.before = append(e.before, p); len(e.before) >= 2*keptPlaces {
		e.before = slices.Delete(e.before, 0, keptPlaces)
	}
}

// begin returns the number of the block that a reading from behind a revision begins
// with, if it is known, and where the shard ends as far as that is.
func (h *heads) begin(shard int, behind driver.Revision) (next uint64, end place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.shards[shard]
	if e == nil {
		return 0, place{}
	}
	for _, p := range slices.Backward(e.before) {
		if p.last == behind {
			return p.block + 1, e.place
		}
		if p.last < behind {
			return 0, place{}
		}
	}
	if behind == 0 && e.block > 0 {
		return 1, e.place
	}
	return 0, place{}
}

// learn notes a place that was seen in the store.
func (h *heads) learn(shard int, p place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entry(shard); p.block > e.block {
		e.put(p)
		e.won = time.Time{}
	}
}

// meet notes that another process wrote to a shard just now.
func (h *heads) meet(shard int, who process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(shard)
	if e.rivals == nil {
		e.rivals = make(map[process]time.Time)
	}
	e.rivals[who], e.streak, e.trust = time.Now(), 0, 0
}

// write notes a place that this process took, and how long it took.
func (h *heads) write(shard int, p place, journey time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(shard)
	e.journey = journey
	if p.block > e.block {
		e.put(p)
		e.won = time.Now()
		e.streak++
	}
}

// rivalry is how long a process counts as a rival; maxCourtesy bounds the wait.
const (
	rivalry     = 5 * time.Second
	maxCourtesy = time.Second
	leastTrust  = 8
	mostTrust   = 256
)

// courtesy returns how long to wait before the next block of a shard. Whoever won
// knows the new tail some journeys earlier than those who lost, and would win for
// ever: it gives its rivals a random part of what they all need. Who lost cannot
// tell whoever always won; so that one makes a pause now and then, ever more
// rarely while nobody turns up.
func (h *heads) courtesy(shard int, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.shards[shard]
	if e == nil || e.won.IsZero() || e.journey <= 0 {
		return 0
	}
	for who, last := range e.rivals {
		if now.Sub(last) > rivalry {
			delete(e.rivals, who)
		}
	}
	window := e.journey * time.Duration(1+len(e.rivals))
	if len(e.rivals) == 0 {
		if e.trust = max(e.trust, leastTrust); e.streak < e.trust {
			return 0
		}
		e.streak, e.trust = 0, min(2*e.trust, mostTrust)
		window = 8 * e.journey
	}
	return jitter.N(min(window, maxCourtesy)) - now.Sub(e.won)
}

// sleep waits for d. It returns the error of ctx when that is done.
func sleep(ctx context.Context, d time.Duration) error {
	jitter.Pause(ctx, d)
	return ctx.Err()
}
