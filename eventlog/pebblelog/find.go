package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Pages of found commits grow like those of a Read.
const (
	firstFound = 16
	lastFound  = 512
)

// Find yields the commits that carry key at a position in r, in the order of
// the positions, each once.
func (l *Log) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		s := search{log: l, shard: shard, key: key, r: r}
		size := firstFound
		pages(ctx, l, yield, func() ([]driver.Commit, bool, error) {
			page, err := s.page(size)
			size = min(4*size, lastFound)
			if err != nil {
				err = fmt.Errorf("key %q: %w", key, err)
			}
			return page, !s.done, err
		})
	}
}

// A search walks the index rows of one key and gets their commits.
type search struct {
	log   *Log
	shard int
	key   string
	r     driver.Range // what is left of it
	done  bool

	entries []entry
	commits []driver.Commit
}

// entry is an index row: where a key has a commit.
type entry struct {
	pos uint64
	rev driver.Revision
}

// page reads the next commits, at most size.
func (s *search) page(size int) ([]driver.Commit, error) {
	if s.r.Limit > 0 {
		size = min(size, s.r.Limit)
	}
	if err := s.scan(size); err != nil {
		return nil, fmt.Errorf("shard %d: %w", s.shard, err)
	}
	s.done = len(s.entries) < size
	s.commits = s.commits[:0]
	data := arena{expect: len(s.entries)}
	for _, e := range s.entries {
		if data.size > pageBytes {
			s.done = false
			break
		}
		c, err := s.log.get(s.shard, e.rev, &data)
		if err != nil {
			return s.commits, err
		}
		s.commits = append(s.commits, c)
		s.pass(e.pos)
	}
	return s.commits, nil
}

// pass takes position pos from what is left.
func (s *search) pass(pos uint64) {
	if s.r.Limit > 0 {
		s.r.Limit--
		s.done = s.done || s.r.Limit == 0
	}
	if s.r.Backward {
		s.r.To = pos
		s.done = s.done || pos <= s.r.From
	} else {
		s.r.From = pos + 1
		s.done = s.done || s.r.From == 0
	}
}

// scan reads the next index rows. Rows beyond the durable tail are left out:
// positions rise with revisions, so these are the last ones.
func (s *search) scan(size int) error {
	s.entries = s.entries[:0]
	tail := s.log.heads.tail(s.shard)
	if tail == 0 || (s.r.To != 0 && s.r.From >= s.r.To) || strings.IndexByte(s.key, terminator) >= 0 {
		return nil
	}
	it, lower, err := s.iter()
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	move, ok := it.Next, false
	if s.r.Backward {
		move, ok = it.Prev, it.Last()
	} else {
		ok = it.SeekPrefixGE(lower) // asks the bloom filters
	}
	for ; ok && len(s.entries) < size; ok = move() {
		e, err := parseEntry(it)
		if err != nil {
			return err
		}
		if e.rev <= tail {
			s.entries = append(s.entries, e)
		} else if !s.r.Backward {
			return nil
		}
	}
	return readError(it.Error())
}

// iter opens an iterator over the index rows that are left.
func (s *search) iter() (it *pebble.Iterator, lower []byte, err error) {
	n := indexKeyLen(s.key)
	buf := make([]byte, 0, 2*n)
	lower = appendIndexKey(buf, s.shard, s.key, s.r.From)
	upper := appendIndexName(lower[n:n], s.shard, s.key)
	if s.r.To == 0 {
		upper[len(upper)-1]++ // above all positions
	} else {
		upper = appendIndexKey(lower[n:n], s.shard, s.key, s.r.To)
	}
	it, err = s.log.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	return it, lower, err
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
func (l *Log) get(shard int, rev driver.Revision, data *arena) (driver.Commit, error) {
	var buf [commitLen]byte
	value, closer, err := l.db.Get(appendCommitKey(buf[:0], shard, rev))
	if errors.Is(err, pebble.ErrNotFound) {
		return driver.Commit{}, missing(shard, rev)
	}
	if err != nil {
		return driver.Commit{}, commitError(shard, rev, err)
	}
	defer closer.Close()
	return driver.Commit{Revision: rev, Data: data.copy(value)}, nil
}
