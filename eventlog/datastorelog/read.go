package datastorelog

import (
	"context"
	"fmt"
	"iter"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Read yields the commits of a shard with revisions in r, in order. A missing
// one is a *driver.CorruptError.
func (l *Log) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		s := scan{log: l, shard: shard, from: max(1, driver.Revision(r.From)), to: driver.Revision(r.To), left: r.Limit}
		if s.left <= 0 {
			s.left = int(^uint(0) >> 1)
		}
		page := s.forward
		if r.Backward {
			page = s.backward
		}
		walk(ctx, l, yield, page)
	}
}

// A scan is what is left to read of a shard: revisions from ≤ r < to (0: no end).
type scan struct {
	log      *Log
	shard    int
	from, to driver.Revision
	left     int // commits still wanted

	next  uint64 // number of the next block; 0: not known yet
	known place  // the shard reached at least there as the scan began
	end   uint64 // number of the last block as the scan began; 0: not asked for
	size  int    // blocks of the last page that looked for what is not known
}

// most returns how many blocks a page needs at most.
func (s *scan) most(size int) int {
	size = min(size, s.left)
	if s.to != 0 {
		size = int(min(uint64(size), uint64(s.to-s.from)))
	}
	return max(1, size)
}

// forward reads the next page. The first is found by the numbers of blocks where this
// process has seen the one before it, else by a query; the others by their numbers.
func (s *scan) forward(ctx context.Context) (page []driver.Commit, more bool, err error) {
	if s.over() {
		return nil, false, ctx.Err()
	}
	if s.next == 0 {
		s.next, s.known = s.log.heads.begin(s.shard, s.from-1)
	}
	var blocks []*block
	switch {
	case s.next == 0:
		blocks, more, err = s.search(ctx)
	case s.end == 0:
		blocks, more, err = s.catchUp(ctx)
	default:
		blocks, more, err = s.proceed(ctx)
	}
	for _, b := range blocks {
		list, bad := s.take(b)
		if bad != nil {
			return page, false, bad
		}
		if page = append(page, list...); s.over() {
			break
		}
	}
	return page, more && !s.over(), err
}

// over reports that nothing is left.
func (s *scan) over() bool { return s.left == 0 || s.to != 0 && s.from >= s.to }

// search reads the first page: the blocks from that on which holds revision from.
func (s *scan) search(ctx context.Context) (blocks []*block, more bool, err error) {
	size := s.most(s.log.blockSize.page())
	blocks, size, err = s.log.blocks(ctx, s.shard, places(s.shard, s.from), false, size)
	if err != nil || len(blocks) < size {
		return blocks, false, err
	}
	reached := blocks[size-1].last
	if blocks[size-1].part {
		reached--
	}
	if s.to == 0 || reached+1 < s.to {
		end, err := s.log.tail(ctx, s.shard)
		if err != nil {
			return nil, false, err
		}
		s.end = end.block
	}
	return blocks, s.end > blocks[size-1].number, nil
}

// catchUp reads the blocks that are known to be there, and those behind them until
// there are no more.
func (s *scan) catchUp(ctx context.Context) (blocks []*block, more bool, err error) {
	size := s.most(min(s.ahead(), s.log.blockSize.page()))
	blocks, gap, err := s.log.lookupGap(ctx, s.shard, s.next, size)
	if err == nil && gap { // not read at one moment, or damage
		end, err := s.log.tail(ctx, s.shard)
		s.end = end.block
		return blocks, true, err
	}
	return blocks, len(blocks) == size, err
}

// ahead returns how many blocks to look for. Behind the known ones that is one, which
// mostly is not there, and the double each time.
func (s *scan) ahead() int {
	if s.known.block < s.next {
		s.size = min(max(1, 2*s.size), maxPage)
		return s.size
	}
	n := int(min(s.known.block-s.next+1, maxPage))
	if s.to != 0 && s.to <= s.known.last+1 {
		return n
	}
	s.size = 1
	return n + 1
}

// proceed reads the next page up to the end that is known.
func (s *scan) proceed(ctx context.Context) (blocks []*block, more bool, err error) {
	n := int(min(uint64(s.most(s.log.blockSize.page())), s.end-s.next+1))
	blocks, err = s.log.lookup(ctx, s.shard, s.next, n)
	if err == nil && len(blocks) < n {
		err = &driver.CorruptError{Shard: s.shard, Revision: s.from, Reason: fmt.Sprintf("block %d is missing", s.next+uint64(len(blocks)))}
	}
	return blocks, s.next+uint64(n) <= s.end, err
}

// take returns what a forward scan wants of the next block.
func (s *scan) take(b *block) (page []driver.Commit, err error) {
	if s.next != 0 && b.number != s.next || b.first > s.from && b.first <= b.last {
		return nil, &driver.CorruptError{Shard: s.shard, Revision: s.from, Reason: fmt.Sprintf("missing before block %d", b.number)}
	}
	s.next = b.number + 1
	if b.part {
		return nil, nil
	}
	for i := range b.commits {
		rev := b.first + driver.Revision(i)
		if rev != s.from || s.over() {
			continue
		}
		page = append(page, driver.Commit{Revision: rev, Data: b.commits[i].data})
		s.from++
		s.left--
	}
	return page, nil
}

// backward reads the next page, from the end.
func (s *scan) backward(ctx context.Context) (page []driver.Commit, more bool, err error) {
	if s.over() {
		return nil, false, ctx.Err()
	}
	beyond := uint64(0)
	if s.next == 0 {
		if beyond, err = s.seekEnd(ctx); err != nil || s.next == 0 {
			return nil, false, err
		}
	}
	n := uint64(min(s.left, s.log.blockSize.page())) + beyond
	n = min(n, s.next)
	keys := make([]*datastore.Key, n)
	for i := range keys {
		keys[i] = s.log.blockKey(s.shard, s.next-uint64(i))
	}
	found, err := s.log.get(ctx, keys)
	if err != nil {
		return nil, false, err
	}
	for i := range found {
		number := s.next
		s.next--
		if found[i].commits == nil && beyond > 0 && i == 0 {
			continue // there is none yet
		}
		if found[i].commits == nil {
			return page, false, &driver.CorruptError{Shard: s.shard, Revision: max(1, s.to-1), Reason: fmt.Sprintf("block %d is missing", number)}
		}
		b, err := found[i].block(s.shard, number)
		if err != nil {
			return page, false, err
		}
		if page, err = s.takeBack(page, b); err != nil || s.over() {
			return page, false, err
		}
	}
	return page, s.next > 0 && !s.over(), nil
}

// seekEnd finds the block that a backward scan begins with. That is behind the
// last one which ends before `to`; it need not be there: then it counts as one
// beyond.
func (s *scan) seekEnd(ctx context.Context) (beyond uint64, err error) {
	if s.to == 0 {
		p, err := s.log.tail(ctx, s.shard)
		s.next, s.to = p.block, p.last+1
		return 0, err
	}
	before := places(s.shard, 0)
	before.to = places(s.shard, s.to).from
	p, err := s.log.lastPlace(ctx, before)
	if err != nil {
		return 0, err
	}
	s.next = p.block + 1
	return 1, nil
}

// takeBack appends what a backward scan wants of a block. s.to falls with it.
func (s *scan) takeBack(page []driver.Commit, b *block) ([]driver.Commit, error) {
	if b.part || len(b.commits) == 0 {
		return page, nil
	}
	if b.last < s.to-1 && b.last >= s.from && len(page) > 0 {
		return page, &driver.CorruptError{Shard: s.shard, Revision: s.to - 1, Reason: fmt.Sprintf("missing behind block %d", b.number)}
	}
	for i := len(b.commits) - 1; i >= 0 && s.left > 0; i-- {
		rev := b.first + driver.Revision(i)
		if rev >= s.to || rev < s.from {
			continue
		}
		page = append(page, driver.Commit{Revision: rev, Data: b.commits[i].data})
		s.to = rev
		s.left--
	}
	if b.first <= s.from {
		s.to = s.from // done
	}
	return page, nil
}
