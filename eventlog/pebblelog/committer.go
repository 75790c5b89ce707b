package pebblelog

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A committer merges concurrent Writes of all shards into one synced batch at a
// time. It has no goroutine: a caller that finds no leader leads, writes its own
// request and all that have gathered, and hands the lead to the first one that
// came meanwhile. One caller alone so never waits for another goroutine of ours.
//
// Groups do not overlap: a group is checked and written when the one before it is
// durable. To prepare one during the sync of the other was no faster (each sync
// then carries half as many), and the order on disk would prove less: now a
// record in the write-ahead log says that all before it was synced.
type committer struct {
	mu    sync.Mutex
	queue []*request
	led   bool // somebody leads; the queue is empty otherwise

	pool sync.Pool // of requests

	// The leader's own.
	group group
	ids   map[[16]byte]bool // of the writes under way when the directory failed
}

// maxMerged bounds the rows of one merged batch, in bytes: above it the batch
// takes so long that those who wait would rather have an answer.
const maxMerged = 4 << 20

// keptRows bounds the memory that a request keeps for the next one.
const keptRows = 1024

// end brings r, which has joined, to its answer; leads says that its caller must lead.
func (c *committer) end(ctx context.Context, l *Log, r *request, leads bool) error {
	if !leads {
		if err := r.wait(ctx); err != nil {
			return err
		}
		leads = r.state.Load() == leading
	}
	if leads {
		c.lead(l, r)
	}
	return c.forget(r)
}

// request returns one for w.
func (c *committer) request(w *driver.Write) *request {
	r, ok := c.pool.Get().(*request)
	if !ok {
		r = &request{wake: make(chan struct{}, 1)}
	}
	r.write = w
	return r
}

// forget takes a request back that was answered, and returns the answer.
func (c *committer) forget(r *request) error {
	err := r.err
	r.write, r.err = nil, nil
	r.state.Store(queued)
	if cap(r.index) > keptRows {
		r.index = nil
	}
	c.pool.Put(r)
	return err
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

// lead writes the group that starts with r and hands the lead on.
func (c *committer) lead(l *Log, r *request) {
	members := c.take()
	c.write(l, members)
	if next := c.next(); next != nil {
		next.wake <- struct{}{}
	}
	for _, m := range members {
		m.release()
		if m != r {
			m.wake <- struct{}{}
		}
	}
}

// write sets the answer of every member.
func (c *committer) write(l *Log, members []*request) {
	err := l.failure.get()
	if err == nil {
		if err = c.group.write(l, members); err == nil {
			return
		}
		for _, r := range c.group.staged {
			c.lose(r)
		}
	}
	for _, r := range members {
		c.refuse(r, err)
	}
}

// lose notes a write that may or may not be on disk.
func (c *committer) lose(r *request) {
	if c.ids == nil {
		c.ids = map[[16]byte]bool{}
	}
	c.ids[r.write.ID] = true
}

// refuse answers a request after a failure. A write that was under way then is of
// unknown outcome for ever, also when it is repeated; all others are not written.
func (c *committer) refuse(r *request, err error) {
	if r.err = err; c.ids[r.write.ID] {
		r.err = fmt.Errorf("%w: %w", driver.ErrUnknown, err)
	}
}

// take removes the requests of the next group from the queue: the leader's own,
// which is the first that has not been withdrawn, and what fits behind it.
func (c *committer) take() (members []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size, n := 0, 0
	for _, r := range c.queue {
		if len(members) > 0 && size+r.size() > maxMerged {
			break
		}
		n++
		if r.state.Load() == leading || r.move(queued, taken) {
			members = append(members, r)
			size += r.size()
		} else {
			r.release()
		}
	}
	c.queue = slices.Delete(c.queue, 0, n)
	return members
}

// next chooses the next leader, or ends the lead when nobody waits.
func (c *committer) next() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range c.queue {
		if r.move(queued, leading) {
			c.queue = slices.Delete(c.queue, 0, i)
			return r
		}
		r.release()
	}
	c.queue = slices.Delete(c.queue, 0, len(c.queue))
	c.led = false
	return nil
}
