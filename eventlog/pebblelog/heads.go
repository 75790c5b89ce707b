package pebblelog

import (
	"fmt"
	"maps"
	"runtime"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A shard is what the store knows of one sequence of commits.
type shard struct {
	id      int
	durable atomic.Uint64   // the last revision that readers may see
	next    driver.Revision // the last revision staged; the committer's own
}

// heads is the table of shards that have commits. Readers look up without a
// lock; only the committer adds.
type heads struct {
	table atomic.Pointer[map[int]*shard]
	shows atomic.Uint64 // odd while a group's changes are being shown
}

// find returns the shard, or nil when it has no commits.
func (h *heads) find(id int) *shard { return (*h.table.Load())[id] }

// ensure returns the shard and adds it where it is missing. The committer's own.
func (h *heads) ensure(id int) *shard {
	if s := h.find(id); s != nil {
		return s
	}
	t := maps.Clone(*h.table.Load())
	s := &shard{id: id}
	t[id] = s
	h.table.Store(&t)
	return s
}

// tail returns the last durable revision of a shard. Whoever has seen one part of
// a write sees all its other parts from then on: a tail is returned when the
// group it belongs to is shown whole, which takes no more than a few stores.
func (h *heads) tail(id int) driver.Revision {
	if s := h.find(id); s != nil {
		rev := driver.Revision(s.durable.Load())
		for h.shows.Load()&1 == 1 {
			runtime.Gosched()
		}
		return rev
	}
	return 0
}

// load finds the tail of every shard. All of them have a first segment.
func (h *heads) load(db *pebble.DB) error {
	t := map[int]*shard{}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindCommit}, UpperBound: []byte{kindCommit + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; {
		id, rev, err := parseCommitKey(it.Key())
		if err != nil {
			return err
		}
		if segmentOf(rev) > 0 {
			break
		}
		next := successor(appendSegment(nil, 0, id))
		if rev, err = loadTail(it, id); err != nil {
			return fmt.Errorf("tail of shard %d: %w", id, err)
		}
		s := &shard{id: id, next: rev}
		s.durable.Store(uint64(rev))
		t[id] = s
		ok = it.SeekGE(next)
	}
	if err := it.Error(); err != nil {
		return err
	}
	h.table.Store(&t)
	return h.checkLast(it)
}

// checkLast compares the very last commit with the tail of its shard: it may lie
// behind a hole.
func (h *heads) checkLast(it *pebble.Iterator) error {
	if !it.Last() {
		return it.Error()
	}
	id, rev, err := parseCommitKey(it.Key())
	if err != nil {
		return err
	}
	var tail driver.Revision
	if s := h.find(id); s != nil {
		tail = s.next
	}
	if tail < rev {
		return &driver.CorruptError{Shard: id, Revision: tail + 1, Reason: fmt.Sprintf("missing, though revision %d is there", rev)}
	}
	return nil
}

// loadTail finds the last segment of a shard that has a first one, by doubling
// and halving: there are no holes between them.
func loadTail(it *pebble.Iterator, id int) (tail driver.Revision, err error) {
	last := func(segment uint64) bool { // moves to the last commit of the segment
		if err != nil {
			return false
		}
		if !it.SeekLT(successor(appendSegment(nil, segment, id))) {
			err = it.Error() // the next seek would forget it
			return false
		}
		var shard int
		var rev driver.Revision
		shard, rev, err = parseCommitKey(it.Key())
		if err != nil || shard != id || segmentOf(rev) != segment {
			return false
		}
		tail = rev
		return true
	}
	high := uint64(1)
	for last(high) {
		high *= 2
	}
	for low := high / 2; high-low > 1; {
		if middle := low + (high-low)/2; last(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	if high == 1 {
		last(0)
	}
	return tail, err
}
