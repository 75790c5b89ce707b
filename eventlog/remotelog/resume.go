package remotelog

import (
	"context"
	"errors"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A cursor is how far an iteration has come.
type cursor[T any] interface {
	// from goes on at a place.
	from(ctx context.Context, p place) iter.Seq2[T, error]
	// take notes an item. It is not new when it came before the place was lost.
	take(T) (isNew bool)
	// done reports that there is no need to look for more.
	done() bool
}

// resumed is an iteration that goes on at another place when one is lost.
func resumed[T any](ctx context.Context, l *Log, begin func() cursor[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		c, t := begin(), l.try(ctx)
		for {
			p, err := t.place()
			if err != nil {
				yield(zero, wrap(err))
				return
			}
			for v, e := range c.from(ctx, p) {
				if err = e; err != nil {
					break
				}
				t.progress()
				if c.take(v) && !yield(v, nil) {
					return
				}
				if c.done() {
					return
				}
			}
			if !errors.Is(err, errGone) {
				if err != nil {
					yield(zero, wrap(err))
				}
				return
			}
			t.lost(p, err)
		}
	}
}

// Read yields the commits of a shard with revisions in r, in order.
func (l *Log) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return resumed(ctx, l, func() cursor[driver.Commit] { return &reading{shard: shard, r: r} })
}

type reading struct {
	shard int
	r     driver.Range
	end   bool
}

func (c *reading) from(ctx context.Context, p place) iter.Seq2[driver.Commit, error] {
	return p.read(ctx, c.shard, c.r)
}

func (c *reading) take(v driver.Commit) bool {
	if c.r.Backward {
		c.r.To = uint64(v.Revision)
		c.end = v.Revision == 1 // To 0 would be open
	} else {
		c.r.From = uint64(v.Revision) + 1
	}
	c.end = c.end || c.r.Limit == 1
	c.r.Limit = max(c.r.Limit-1, 0)
	return true
}

func (c *reading) done() bool { return c.end }

// Find yields the commits that carry key at a position in r, in the order of the
// positions, each once.
func (l *Log) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return resumed(ctx, l, func() cursor[driver.Commit] { return &finding{shard: shard, key: key, r: r, left: r.Limit} })
}

// A finding does not see positions. They rise with the revisions, by one at least:
// that says where to go on, and what has been seen.
type finding struct {
	shard int
	key   string
	r     driver.Range
	left  int // 0: no limit
	last  driver.Revision
	n     uint64 // commits seen
	end   bool
}

func (c *finding) from(ctx context.Context, p place) iter.Seq2[driver.Commit, error] {
	r := c.r
	switch {
	case c.n == 0:
		return p.find(ctx, c.shard, c.key, r)
	case !r.Backward:
		r.From += c.n
	case r.To > c.n:
		r.To -= c.n
	}
	r.Limit = 0 // some of them have been seen
	return p.find(ctx, c.shard, c.key, r)
}

func (c *finding) take(v driver.Commit) bool {
	if c.n > 0 && (v.Revision == c.last || v.Revision < c.last != c.r.Backward) {
		return false
	}
	c.n++
	c.last = v.Revision
	c.end = c.left == 1
	c.left = max(c.left-1, 0)
	return true
}

func (c *finding) done() bool { return c.end }

// Keys yields the names in a shard's index that start with prefix and sort after
// the name after, in order, each with its last position.
func (l *Log) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return resumed(ctx, l, func() cursor[driver.Key] { return &listing{shard: shard, prefix: prefix, after: after} })
}

type listing struct {
	shard         int
	prefix, after string
}

func (c *listing) from(ctx context.Context, p place) iter.Seq2[driver.Key, error] {
	return p.keys(ctx, c.shard, c.prefix, c.after)
}

func (c *listing) take(k driver.Key) bool {
	c.after = k.Name
	return true
}

func (c *listing) done() bool { return false }

// Cells yields the cells with from ≤ key < to, in bytewise order, at most limit of
// them if limit > 0.
func (l *Log) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return resumed(ctx, l, func() cursor[driver.Cell] { return &gathering{begin: from, to: to, limit: limit} })
}

type gathering struct {
	begin, to string
	limit     int
	end       bool
}

func (c *gathering) from(ctx context.Context, p place) iter.Seq2[driver.Cell, error] {
	return p.cells(ctx, c.begin, c.to, c.limit)
}

func (c *gathering) take(v driver.Cell) bool {
	c.begin = v.Key + "\x00"
	c.end = c.limit == 1
	c.limit = max(c.limit-1, 0)
	return true
}

func (c *gathering) done() bool { return c.end }

// Watch yields heads that may have moved, until ctx is done or the log is closed.
// At each place that it comes to it yields all heads first.
func (l *Log) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return resumed(ctx, l, func() cursor[driver.Head] { return watching{} })
}

type watching struct{}

func (watching) from(ctx context.Context, p place) iter.Seq2[driver.Head, error] { return p.watch(ctx) }
func (watching) take(driver.Head) bool                                           { return true }
func (watching) done() bool                                                      { return false }
