package pebblelog

import (
	"context"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// readError marks what the engine says of damaged blocks as corruption.
func readError(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", driver.ErrCorrupt, err)
	}
	return err
}

// commitError names the commit whose row could not be read.
func commitError(shard int, rev driver.Revision, err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return &driver.CorruptError{Shard: shard, Revision: rev, Reason: err.Error()}
	}
	return fmt.Errorf("shard %d revision %d: %w", shard, rev, err)
}

// Pages of commits grow from the first size to the last, so that a short read is
// cheap and a long one fast. Between pages nothing is held.
const (
	firstPage = 32
	lastPage  = 2048
	pageBytes = 1 << 20
)

// span is what is left to read of a shard: the revisions first ≤ r < end.
type span struct {
	first, end driver.Revision
	backward   bool
	left       int // commits still wanted
}

func (s *span) empty() bool { return s.first >= s.end || s.left == 0 }

// next is the revision that the span begins with in its direction.
func (s *span) next() driver.Revision {
	if s.backward {
		return s.end - 1
	}
	return s.first
}

func (s *span) advance() {
	s.left--
	if s.backward {
		s.end--
	} else {
		s.first++
	}
}

// spanOf cuts r to what a shard has. The positions of a Read are revisions.
func spanOf(r driver.Range, tail driver.Revision) span {
	s := span{first: max(1, driver.Revision(r.From)), end: tail + 1, backward: r.Backward, left: r.Limit}
	if r.To != 0 {
		s.end = min(s.end, driver.Revision(r.To))
	}
	if r.Limit <= 0 {
		s.left = int(^uint(0) >> 1)
	}
	return s
}

// Read yields the commits of a shard with revisions in r, in order, up to the
// tail as it is when the read begins. A missing revision is a
// *driver.CorruptError.
func (l *Log) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		tail, err := l.Tail(ctx, shard)
		if err != nil {
			yield(driver.Commit{}, fmt.Errorf("pebblelog: shard %d: %w", shard, err))
			return
		}
		s := spanOf(r, tail)
		var page []driver.Commit
		for size := firstPage; !s.empty(); size = min(4*size, lastPage) {
			page, err = l.readPage(ctx, shard, &s, page[:0], size)
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(driver.Commit{}, fmt.Errorf("pebblelog: %w", err))
				return
			}
		}
	}
}

// readPage appends the next commits of s to page, at most size of them, and
// advances s past them.
func (l *Log) readPage(ctx context.Context, shard int, s *span, page []driver.Commit, size int) ([]driver.Commit, error) {
	if err := ctx.Err(); err != nil {
		return page, err
	}
	if err := l.enter(); err != nil {
		return page, err
	}
	defer l.leave()
	it, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: appendCommitKey(nil, shard, s.first),
		UpperBound: appendCommitKey(nil, shard, s.end),
	})
	if err != nil {
		return page, readError(err)
	}
	defer it.Close()
	move, ok := it.Next, false
	if s.backward {
		move, ok = it.Prev, it.Last()
	} else {
		ok = it.First()
	}
	var data arena
	for n := 0; ok && !s.empty(); ok = move() {
		if n == size || data.size > pageBytes {
			return page, nil
		}
		c, err := readCommit(it, shard, s.next(), &data)
		if err != nil {
			return page, err
		}
		page = append(page, c)
		s.advance()
		n++
	}
	if s.empty() {
		return page, nil
	}
	if err := it.Error(); err != nil {
		return page, commitError(shard, s.next(), err)
	}
	return page, missing(shard, s.next())
}

// readCommit reads the row under it, which must be the revision want.
func readCommit(it *pebble.Iterator, shard int, want driver.Revision, data *arena) (driver.Commit, error) {
	_, rev, err := parseCommitKey(it.Key())
	if err != nil {
		return driver.Commit{}, err
	}
	if rev != want {
		return driver.Commit{}, missing(shard, want)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return driver.Commit{}, commitError(shard, rev, err)
	}
	return driver.Commit{Revision: rev, Data: data.copy(value)}, nil
}

func missing(shard int, rev driver.Revision) error {
	return &driver.CorruptError{Shard: shard, Revision: rev, Reason: "the commit is missing"}
}

// An arena copies values into few allocations. Whoever keeps one value keeps its
// chunk, so chunks are small.
type arena struct {
	free []byte
	size int
}

const arenaChunk = 32 << 10

func (a *arena) copy(b []byte) []byte {
	a.size += len(b)
	if len(b) > len(a.free) {
		if len(b) > arenaChunk/8 {
			return append([]byte{}, b...)
		}
		a.free = make([]byte, arenaChunk)
	}
	c := a.free[:len(b):len(b)]
	a.free = a.free[len(b):]
	copy(c, b)
	return c
}
