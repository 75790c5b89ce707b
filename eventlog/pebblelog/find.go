package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// entry is an index row: where a key has a commit.
type entry struct {
	pos uint64
	rev driver.Revision
}

const (
	firstEntries = 64
	lastEntries  = 1024
)

// Find yields the commits that carry key at a position in r, in the order of
// the positions, each once.
func (l *Log) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		fail := func(err error) {
			yield(driver.Commit{}, fmt.Errorf("pebblelog: shard %d key %q: %w", shard, key, err))
		}
		s := search{log: l, shard: shard, key: key, r: r, left: r.Limit}
		for size := firstEntries; !s.done; size = min(4*size, lastEntries) {
			page, err := s.page(ctx, size)
			if err != nil {
				fail(err)
				return
			}
			for _, e := range page {
				c, err := l.get(ctx, shard, e.rev)
				if err != nil {
					fail(err)
					return
				}
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

// A search walks the index rows of one key.
type search struct {
	log   *Log
	shard int
	key   string
	r     driver.Range
	left  int // rows still wanted; 0 at the start is all
	done  bool
}

// page reads the next index rows and moves the range past them. Rows beyond the
// durable tail are left out; positions rise with revisions, so these are the
// last ones.
func (s *search) page(ctx context.Context, size int) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.log.enter(); err != nil {
		return nil, err
	}
	defer s.log.leave()
	tail := s.log.heads.tail(s.shard)
	if tail == 0 || (s.r.To != 0 && s.r.From >= s.r.To) {
		s.done = true
		return nil, nil
	}
	if s.left > 0 {
		size = min(size, s.left)
	}
	page, err := s.scan(tail, size)
	if err != nil {
		return nil, err
	}
	if s.left > 0 {
		s.left -= len(page)
		s.done = s.left == 0
	}
	if len(page) < size {
		s.done = true
	} else {
		s.narrow(page[len(page)-1].pos)
	}
	return page, nil
}

// narrow cuts the range behind the last position read.
func (s *search) narrow(pos uint64) {
	if s.r.Backward {
		s.r.To = pos
		s.done = s.done || pos <= s.r.From
	} else {
		s.r.From = pos + 1
		s.done = s.done || s.r.From == 0
	}
}

func (s *search) scan(tail driver.Revision, size int) ([]entry, error) {
	lower := appendIndexKey(make([]byte, 0, indexKeyLen(s.key)), s.shard, s.key, s.r.From)
	var upper []byte
	if s.r.To == 0 {
		upper = successor(lower[:len(lower)-8])
	} else {
		upper = appendIndexKey(make([]byte, 0, indexKeyLen(s.key)), s.shard, s.key, s.r.To)
	}
	it, err := s.log.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, readError(err)
	}
	defer it.Close()
	page := make([]entry, 0, min(size, 16))
	move, ok := it.Next, false
	if s.r.Backward {
		move, ok = it.Prev, it.Last()
	} else {
		ok = it.SeekPrefixGE(lower) // asks the bloom filters
	}
	for ; ok && len(page) < size; ok = move() {
		e, err := parseEntry(it)
		if err != nil {
			return nil, err
		}
		if e.rev <= tail {
			page = append(page, e)
		} else if !s.r.Backward {
			return page, nil
		}
	}
	return page, readError(it.Error())
}

func parseEntry(it *pebble.Iterator) (entry, error) {
	_, pos, err := parseIndexKey(it.Key())
	if err != nil {
		return entry{}, err
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return entry{}, readError(err)
	}
	rev, err := parseIndexValue(it.Key(), pos, value)
	return entry{pos, rev}, err
}

// get reads one commit that the index names.
func (l *Log) get(ctx context.Context, shard int, rev driver.Revision) (driver.Commit, error) {
	if err := ctx.Err(); err != nil {
		return driver.Commit{}, err
	}
	if err := l.enter(); err != nil {
		return driver.Commit{}, err
	}
	defer l.leave()
	var buf [commitLen]byte
	value, closer, err := l.db.Get(appendCommitKey(buf[:0], shard, rev))
	if errors.Is(err, pebble.ErrNotFound) {
		return driver.Commit{}, missing(shard, rev)
	}
	if err != nil {
		return driver.Commit{}, commitError(shard, rev, err)
	}
	defer closer.Close()
	return driver.Commit{Revision: rev, Data: append([]byte{}, value...)}, nil
}
