package remotelog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A client is one connection to a server. It ends with the connection.
type client struct {
	link  *link
	moves bool // the server moves Writes
	work  sync.WaitGroup

	mu    sync.Mutex
	last  uint64           // request number
	calls map[uint64]*call // under way
	spare sync.Pool        // of calls
	ended error
}

// A call is a request under way.
type call struct {
	done chan reply // of a Write or a question; holds one

	// Of an iteration or a watch.
	signal chan struct{}
	pages  [][]byte
	heads  map[int]driver.Revision
	end    *reply
}

// A reply is how a request ended.
type reply struct {
	err   error
	value []byte
	lost  bool // the connection ended first
}

const (
	pingEvery   = 5 * time.Second
	pongWithin  = 15 * time.Second // of anything from the server
	cancelGrace = 250 * time.Millisecond
)

func newClient(l *link, moves bool) *client {
	c := &client{link: l, moves: moves, calls: make(map[uint64]*call)}
	c.work.Go(l.run)
	c.work.Go(c.receive)
	c.work.Go(c.ping)
	return c
}

func (c *client) gone() <-chan struct{} { return c.link.ended }

// ping keeps a connection alive on which nothing else happens.
func (c *client) ping() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = c.link.send(askPing, 0, nil) // if it fails the connection has ended
		case <-c.link.ended:
			return
		}
	}
}

// receive gives the server's frames to the calls until the connection ends, and then
// ends all of them.
func (c *client) receive() {
	var err error
	for err == nil {
		if err = c.link.expect(pongWithin); err != nil {
			break
		}
		var f frame
		if f, err = readFrame(c.link.in); err == nil {
			err = c.take(f)
		}
	}
	c.link.end(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = fmt.Errorf("%w: %w", errGone, c.link.err) // who noticed first may have been the one who sends
	for id, k := range c.calls {
		delete(c.calls, id)
		k.finish(reply{err: c.ended, lost: true})
	}
}

// take gives a frame to its call. It never waits for anybody.
func (c *client) take(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[f.id]
	switch f.kind {
	case tellAlive:
	case tellDone:
		if k == nil {
			return nil // nobody waits for it any more
		}
		delete(c.calls, f.id)
		d := &decoder{b: f.body}
		err := d.outcome()
		if d.err != nil {
			return d.err
		}
		k.finish(reply{err: err, value: d.b})
	case tellPage:
		if k != nil && len(k.pages) >= window {
			return malformed("pages that nobody asked for")
		}
		if k != nil {
			k.pages = append(k.pages, f.body)
			k.ring()
		}
	case tellHead:
		d := &decoder{b: f.body}
		shard, rev := d.int(maxShard), driver.Revision(d.uint())
		if err := d.done(); err != nil {
			return err
		}
		if k != nil {
			k.heads[shard] = max(rev, k.heads[shard])
			k.ring()
		}
	default:
		return malformed("unknown kind %d", f.kind)
	}
	return nil
}

func (k *call) finish(r reply) {
	if k.done != nil {
		k.done <- r
		return
	}
	k.end = &r
	k.ring()
}

func (k *call) ring() {
	select {
	case k.signal <- struct{}{}:
	default:
	}
}

// begin sends a request. An error says that it was not sent.
func (c *client) begin(what kind, k *call, fill func([]byte) []byte) (id uint64, err error) {
	c.mu.Lock()
	if c.ended != nil {
		defer c.mu.Unlock()
		return 0, c.ended
	}
	c.last++
	id = c.last
	c.calls[id] = k
	c.mu.Unlock()
	if err := c.link.send(what, id, fill); err != nil {
		c.forget(id)
		return 0, fmt.Errorf("%w: %w", errGone, err)
	}
	return id, nil
}

func (c *client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// ask sends a request that is answered once. sent says whether it may have
// reached the server when there is no answer.
func (c *client) ask(ctx context.Context, what kind, fill func([]byte) []byte) (r reply, sent bool) {
	if err := ctx.Err(); err != nil {
		return reply{err: err}, false
	}
	k, ok := c.spare.Get().(*call)
	if !ok {
		k = &call{done: make(chan reply, 1)}
	}
	id, err := c.begin(what, k, fill)
	if err != nil {
		return reply{err: err}, false
	}
	select {
	case r = <-k.done:
		c.spare.Put(k)
		return r, true
	case <-ctx.Done():
	}
	// It is likely to be answered at once.
	timer := time.NewTimer(cancelGrace)
	defer timer.Stop()
	select {
	case r = <-k.done:
		return r, true
	case <-timer.C:
		c.forget(id)
		return reply{err: ctx.Err(), lost: true}, true
	}
}

// write sends a valid Write.
func (c *client) write(ctx context.Context, w *driver.Write) error {
	_, err := c.send(ctx, askWrite, w, appendWrite)
	return err
}

// move sends a valid Write that may be moved.
func (c *client) move(ctx context.Context, w *driver.Write) ([]driver.Moved, error) {
	if !c.moves {
		return nil, errors.ErrUnsupported
	}
	value, err := c.send(ctx, askMove, w, appendMove)
	if err != nil {
		return nil, err
	}
	d := &decoder{b: value}
	moved := d.moved()
	if err := d.done(); err != nil {
		c.link.end(err)
		return nil, fmt.Errorf("%w: %w", driver.ErrUnknown, err)
	}
	return moved, nil
}

func (c *client) send(ctx context.Context, what kind, w *driver.Write, fill func([]byte, *driver.Write) []byte) ([]byte, error) {
	if n := encodedLen(w); n > maxFrame {
		return nil, fmt.Errorf("%w: a write of %d bytes when encoded, at most %d", driver.ErrTooLarge, n, maxFrame)
	}
	r, sent := c.ask(ctx, what, func(b []byte) []byte { return fill(b, w) })
	if r.lost && sent {
		return nil, fmt.Errorf("%w: %w", driver.ErrUnknown, told{is: nil, text: r.err.Error()})
	}
	return r.value, r.err
}

// encodedLen is a bound of how long w is in a frame.
func encodedLen(w *driver.Write) int {
	n := 64
	for i := range w.Batches {
		n += 46
		for j := range w.Batches[i].Commits {
			c := &w.Batches[i].Commits[j]
			n += len(c.Data) + 20
			for k := range c.Keys {
				n += len(c.Keys[k].Name) + 12
			}
		}
		for _, name := range w.Batches[i].Unless {
			n += len(name) + 2
		}
	}
	for i := range w.Cells {
		n += len(w.Cells[i].Cell.Key) + len(w.Cells[i].Cell.Value) + 32
	}
	return n
}

func (c *client) tail(ctx context.Context, shard int) (driver.Revision, error) {
	r, _ := c.ask(ctx, askTail, func(b []byte) []byte { return appendNumbers(b, uint64(shard)) })
	if r.err != nil {
		return 0, r.err
	}
	rev, n := binary.Uvarint(r.value)
	if n <= 0 {
		return 0, malformed("a tail without a number")
	}
	return driver.Revision(rev), nil
}

// close ends the connection.
func (c *client) close() error {
	c.link.end(errGone)
	c.work.Wait()
	return nil
}

// maintain asks for what only who owns the directory can do.
func (c *client) maintain(ctx context.Context, what kind, to string) ([]byte, error) {
	r, _ := c.ask(ctx, what, func(b []byte) []byte { return appendBytes(b, to) })
	if r.err != nil {
		return nil, r.err
	}
	return r.value, nil
}
