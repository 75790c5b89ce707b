package remotelog

import (
	"context"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// items yields what the server sends as the answer to a request for an iteration.
// It ends with errGone when the connection does.
func items[T any](ctx context.Context, c *client, what kind, fill func([]byte) []byte, take func(*decoder) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := ctx.Err(); err != nil {
			yield(zero, err)
			return
		}
		k := &call{signal: make(chan struct{}, 1)}
		id, err := c.begin(what, k, fill)
		if err != nil {
			yield(zero, err)
			return
		}
		over := false
		defer func() {
			if !over {
				c.drop(id)
			}
		}()
		for {
			page, end, err := c.next(ctx, k)
			switch {
			case err != nil:
				yield(zero, err)
				return
			case end != nil:
				if over = true; end.err != nil {
					yield(zero, end.err)
				}
				return
			}
			_ = c.link.send(askMore, id, nil) // if it fails the call ends
			d := &decoder{b: page}
			for len(d.b) > 0 {
				v := take(d)
				if d.err != nil {
					yield(zero, d.err)
					return
				}
				if !yield(v, nil) {
					return
				}
				if err := ctx.Err(); err != nil {
					yield(zero, err)
					return
				}
			}
		}
	}
}

// next waits for the next page of an iteration, or its end.
func (c *client) next(ctx context.Context, k *call) (page []byte, end *reply, err error) {
	for {
		c.mu.Lock()
		switch {
		case len(k.pages) > 0:
			page, k.pages = k.pages[0], k.pages[1:]
		case k.end != nil:
			end = k.end
		}
		c.mu.Unlock()
		if page != nil || end != nil {
			return page, end, nil
		}
		select {
		case <-k.signal:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// drop ends a call whose caller has gone.
func (c *client) drop(id uint64) {
	c.forget(id)
	_ = c.link.send(askCancel, id, nil) // if it fails the server knows
}

func (c *client) read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return items(ctx, c, askRead, func(b []byte) []byte {
		return appendRange(appendNumbers(b, uint64(shard)), r)
	}, (*decoder).commit)
}

func (c *client) find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return items(ctx, c, askFind, func(b []byte) []byte {
		return appendRange(appendBytes(appendNumbers(b, uint64(shard)), key), r)
	}, (*decoder).commit)
}

func (c *client) keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return items(ctx, c, askKeys, func(b []byte) []byte {
		return appendBytes(appendBytes(appendNumbers(b, uint64(shard)), prefix), after)
	}, (*decoder).key)
}

func (c *client) cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return items(ctx, c, askCells, func(b []byte) []byte {
		return appendLimit(appendBytes(appendBytes(b, from), to), limit)
	}, (*decoder).cell)
}

// watch yields heads, merged while the caller is busy.
func (c *client) watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return func(yield func(driver.Head, error) bool) {
		k := &call{signal: make(chan struct{}, 1), heads: make(map[int]driver.Revision)}
		id, err := c.begin(askWatch, k, nil)
		if err != nil {
			yield(driver.Head{}, err)
			return
		}
		defer c.drop(id)
		for {
			c.mu.Lock()
			heads, end := k.heads, k.end
			k.heads = make(map[int]driver.Revision)
			c.mu.Unlock()
			for shard, rev := range heads {
				if !yield(driver.Head{Shard: shard, Revision: rev}, nil) {
					return
				}
			}
			if end != nil {
				if end.err != nil {
					yield(driver.Head{}, end.err)
				}
				return
			}
			select {
			case <-k.signal:
			case <-ctx.Done():
				yield(driver.Head{}, ctx.Err())
				return
			}
		}
	}
}
