package pebblelog

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A committer merges concurrent Writes of all shards into synced batches. It has
// no goroutine: a caller that finds no leader leads. It checks its own request
// and all that have gathered, hands their rows to the engine as one batch, and
// then hands on the lead: the next group is checked and put together while this
// one is on its way to the disk. One caller alone so never waits for another
// goroutine of ours.
type committer struct {
	mu    sync.Mutex
	queue []*request
	led   bool // somebody leads; the queue is empty otherwise

	// The rest is the leader's own.
	last *group // the last one handed to the engine

	lost sync.Mutex
	ids  map[[16]byte]bool // of the writes under way when the directory failed
}

// maxMerged bounds the rows of one merged batch, in bytes: above it the batch
// takes so long that those who wait would rather have an answer.
const maxMerged = 4 << 20

// submit brings r through the committer and returns its answer.
func (c *committer) submit(ctx context.Context, l *Log, r *request) error {
	if c.join(r) {
		c.lead(l, r)
		return r.err
	}
	if err := r.wait(ctx); err != nil {
		return err
	}
	if r.state.Load() == leading {
		c.lead(l, r)
	}
	return r.err
}

// join adds r to the queue and reports whether its caller must lead.
func (c *committer) join(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, r)
	if c.led {
		return false
	}
	c.led = true
	r.state.Store(leading)
	return true
}

// lead brings the group that starts with r to the disk, and hands the lead on
// as soon as the engine has it.
func (c *committer) lead(l *Log, r *request) {
	// Callers of the last group are just waking up; two turns let them join.
	runtime.Gosched()
	runtime.Gosched()
	g := c.take()
	g.apply(l)
	if next := c.next(); next != nil {
		next.wake <- struct{}{}
	}
	g.finish(l)
	for _, m := range g.members {
		if m != r {
			m.wake <- struct{}{}
		}
	}
	g.release()
}

// take removes the requests of the next group from the queue: the leader's own,
// which is the first that has not been withdrawn, and what fits behind it.
func (c *committer) take() *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := newGroup(c.last)
	c.last = g
	size, n := 0, 0
	for _, r := range c.queue {
		if len(g.members) > 0 && size+r.size() > maxMerged {
			break
		}
		n++
		if r.state.Load() == leading || r.move(queued, taken) {
			g.members = append(g.members, r)
			size += r.size()
		} else {
			r.release()
		}
	}
	c.drop(n)
	return g
}

// next chooses the next leader, or ends the lead when nobody waits.
func (c *committer) next() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range c.queue {
		if r.move(queued, leading) {
			c.drop(i)
			return r
		}
		r.release()
	}
	c.drop(len(c.queue))
	c.led = false
	return nil
}

// drop removes the first n requests from the queue.
func (c *committer) drop(n int) {
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
}

// lose notes writes that may or may not be on disk.
func (c *committer) lose(requests []*request) {
	c.lost.Lock()
	defer c.lost.Unlock()
	if c.ids == nil {
		c.ids = map[[16]byte]bool{}
	}
	for _, r := range requests {
		c.ids[r.write.ID] = true
	}
}

// refuse answers requests after a failure. A write that was under way then is of
// unknown outcome for ever, also when it is repeated; all others are not written.
func (c *committer) refuse(requests []*request, err error) {
	c.lost.Lock()
	defer c.lost.Unlock()
	for _, r := range requests {
		if r.err = err; c.ids[r.write.ID] {
			r.err = fmt.Errorf("%w: %w", driver.ErrUnknown, err)
		}
	}
}
