package pebblelog

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A committer merges concurrent Writes of all shards into one synced batch at a
// time. It has no goroutine: a caller that finds no leader leads, writes its own
// request and all that have gathered, and hands the lead to the first one that
// came meanwhile. One caller alone so never waits for another goroutine.
type committer struct {
	mu    sync.Mutex
	queue []*request
	led   bool // somebody leads; the queue is empty otherwise

	// The rest is the leader's own.
	group   []*request
	stage   stage
	unknown map[[16]byte]bool // ids of the writes under way when the directory failed
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
	if done := ctx.Done(); done != nil {
		select {
		case <-r.wake:
		case <-done:
			if r.move(queued, withdrawn) {
				return ctx.Err()
			}
			if r.state.Load() == taken {
				return fmt.Errorf("%w: %w", driver.ErrUnknown, ctx.Err())
			}
			<-r.wake
		}
	} else {
		<-r.wake
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

// lead writes the group that starts with r and hands the lead on.
func (c *committer) lead(l *Log, r *request) {
	// Callers of the last group are just waking up; two turns let them join.
	runtime.Gosched()
	runtime.Gosched()
	group := c.take()
	l.commit(group)
	next := c.next()
	if next != nil {
		next.wake <- struct{}{}
	}
	for i, g := range group {
		g.release()
		if g != r {
			g.wake <- struct{}{}
		}
		group[i] = nil
	}
}

// take removes the requests of the next group from the queue: the leader's own,
// which is the first that has not been withdrawn, and what fits behind it.
func (c *committer) take() []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	group, size, n := c.group[:0], 0, 0
	for _, r := range c.queue {
		if len(group) > 0 && size+r.size() > maxMerged {
			break
		}
		n++
		if r.state.Load() == leading || r.move(queued, taken) {
			group = append(group, r)
			size += r.size()
		} else {
			r.release()
		}
	}
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	c.group = group
	return group
}

// next chooses the next leader, or ends the lead when nobody waits. A leader's
// group is c.group until then.
func (c *committer) next() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group = nil
	for i, r := range c.queue {
		if r.move(queued, leading) {
			rest := copy(c.queue, c.queue[i:])
			clear(c.queue[rest:])
			c.queue = c.queue[:rest]
			return r
		}
		r.release()
	}
	clear(c.queue)
	c.queue = c.queue[:0]
	c.led = false
	return nil
}

// commit checks the requests of a group one by one, writes those that hold as
// one batch, and sets every answer. An answer, a refusal too, rests on what was
// staged before it, so all are given after the sync.
func (l *Log) commit(group []*request) {
	c := &l.commits
	if err := l.failure.get(); err != nil {
		c.refuse(group, err)
		return
	}
	c.stage.reset()
	full := l.space.check()
	for _, r := range group {
		if r.rows != nil && full != nil {
			r.err = full
		} else if r.err = c.stage.check(l, r.write); r.err == nil && r.rows != nil {
			c.stage.apply(l, r)
		}
	}
	if err := l.sync(&c.stage); err != nil {
		c.lose()
		c.refuse(group, err)
		return
	}
	c.stage.publish(l)
}

// lose notes the writes whose batch may or may not be on disk.
func (c *committer) lose() {
	if c.unknown == nil {
		c.unknown = map[[16]byte]bool{}
	}
	for _, r := range c.stage.requests {
		c.unknown[r.write.ID] = true
	}
}

// refuse answers a group after a failure. A write that was under way then is of
// unknown outcome for ever, also when it is repeated; all others are not written.
func (c *committer) refuse(group []*request, err error) {
	for _, r := range group {
		if r.err = err; c.unknown[r.write.ID] {
			r.err = fmt.Errorf("%w: %w", driver.ErrUnknown, err)
		}
	}
}

// sync writes the staged rows and waits until they are durable.
func (l *Log) sync(s *stage) (err error) {
	b := s.batch(l)
	if b == nil {
		return nil
	}
	if s.cells() {
		l.cells.hide(l.db)
	}
	defer func() {
		if p := recover(); p != nil {
			l.failure.set(fatalError{fmt.Errorf("engine: %v", p)})
			err = l.failure.get()
		}
	}()
	how := pebble.Sync
	if l.opts.noSync {
		how = pebble.NoSync
	}
	if err := l.db.Apply(b, how); err != nil {
		l.failure.set(fatalError{err})
	}
	return l.failure.get()
}
