package pebblelog

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// readError marks what the engine says of damaged blocks as corruption.
func readError(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", driver.ErrCorrupt, engineError{err})
	}
	return err
}

// An engineError is told in one line; what the engine adds below it is for its own
// developers.
type engineError struct{ error }

func (e engineError) Error() string {
	line, _, _ := strings.Cut(e.error.Error(), "\n")
	return line
}

func (e engineError) Unwrap() error { return e.error }

// commitError names the commit whose row could not be read.
func commitError(shard int, rev driver.Revision, err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return &driver.CorruptError{Shard: shard, Revision: rev, Reason: engineError{err}.Error()}
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

// len is how many commits there are at most.
func (s *span) len() int { return int(min(uint64(s.end-s.first), uint64(s.left))) }

// next is the revision that the span begins with in its direction.
func (s *span) next() driver.Revision {
	if s.backward {
		return s.end - 1
	}
	return s.first
}

// part is the first and the last revision of those in the segment it begins with.
func (s *span) part() (first, last driver.Revision) {
	n := segmentOf(s.next())
	return max(s.first, driver.Revision(n*segmentLen)), min(s.end-1, driver.Revision(n*segmentLen+segmentLen-1))
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
		s := spanOf(r, l.heads.tail(shard))
		var page []driver.Commit
		size := firstPage
		pages(ctx, l, yield, func() ([]driver.Commit, bool, error) {
			var err error
			page, err = l.readPage(shard, &s, page[:0], size)
			size = min(4*size, lastPage)
			return page, !s.empty(), err
		})
	}
}

// readPage appends the next commits of s to page, at most size of them and of one
// segment, and advances s past them.
func (l *Log) readPage(shard int, s *span, page []driver.Commit, size int) ([]driver.Commit, error) {
	if s.empty() {
		return page, nil
	}
	first, last := s.part()
	it, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: appendCommitKey(nil, shard, first),
		UpperBound: append(appendCommitKey(nil, shard, last), 0),
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
	data := arena{expect: min(size, s.len())}
	for ; ok && !s.empty(); ok = move() {
		if len(page) == size || data.size > pageBytes {
			return page, nil
		}
		c, err := readCommit(it, shard, s.next(), &data)
		if err != nil {
			return page, err
		}
		page = append(page, c)
		s.advance()
	}
	if next := s.next(); s.empty() || next < first || next > last {
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
	expect int // values still to come, if known
	free   []byte
	size   int
}

const arenaChunk = 32 << 10

func (a *arena) copy(b []byte) []byte {
	n := len(b)
	a.size += n
	if n > len(a.free) {
		if n > arenaChunk/8 {
			return append([]byte{}, b...)
		}
		chunk := arenaChunk
		if a.expect > 0 {
			chunk = min(chunk, a.expect*n)
		}
		a.free = make([]byte, chunk)
	}
	a.expect--
	c := a.free[:n:n]
	a.free = a.free[n:]
	copy(c, b)
	return c
}
