package memlog

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Store is a log in memory that any number of handles share. Use [NewStore].
type Store struct {
	mu       sync.RWMutex
	shards   map[int]*shard
	cells    cells
	watchers map[*watcher]struct{}
}

// A shard is append-only: a slice of it that was taken under the store's lock
// may be read without the lock for ever.
type shard struct {
	commits [][]byte           // Data by revision-1
	index   map[string]*[]mark // by key, rising
	sorted  []string           // names of index, without those in fresh; replaced, never changed
	fresh   []string           // names of index that wait to be sorted
	last    []driver.Commit    // without data; those that may be passed
}

// mark is a place where a key occurs.
type mark struct {
	pos uint64
	rev driver.Revision
}

func (s *shard) tail() driver.Revision {
	if s == nil {
		return 0
	}
	return driver.Revision(len(s.commits))
}

func (s *shard) marks(key string) []mark {
	if s != nil {
		if m := s.index[key]; m != nil {
			return *m
		}
	}
	return nil
}

// write checks w against the state and applies it. The caller holds the lock
// and hands over w's memory.
func (s *Store) write(w driver.Write) error {
	for _, b := range w.Batches {
		if tail := s.shards[b.Shard].tail(); tail != b.First-1 {
			return &driver.TailError{Shard: b.Shard, Tail: tail}
		}
	}
	for _, op := range w.Cells {
		if v := s.cells.version(op.Cell.Key); op.If != nil && *op.If != v {
			return &driver.CellError{Key: op.Cell.Key, Version: v}
		}
	}
	for _, b := range w.Batches {
		if err := s.shards[b.Shard].checkPositions(b); err != nil {
			return fmt.Errorf("memlog: shard %d: %w", b.Shard, err)
		}
	}
	for _, b := range w.Batches {
		s.append(b)
	}
	for _, op := range w.Cells {
		s.cells.apply(op)
	}
	s.announce(w.Batches)
	return nil
}

// checkPositions refuses positions that do not rise, which no index could
// answer for.
func (s *shard) checkPositions(b driver.Batch) error {
	var last map[string]uint64 // of names in this batch
	for _, c := range b.Commits {
		for i, k := range c.Keys {
			at, ok := last[k.Name]
			if m := s.marks(k.Name); !ok && len(m) > 0 {
				at, ok = m[len(m)-1].pos, true
			}
			if ok && k.Pos <= at {
				return fmt.Errorf("revision %d: key %q at position %d is not behind %d", c.Revision, k.Name, k.Pos, at)
			}
			if last == nil && (len(c.Keys) > i+1 || len(b.Commits) > 1) {
				last = make(map[string]uint64, len(c.Keys))
			}
			if last != nil {
				last[k.Name] = k.Pos
			}
		}
	}
	return nil
}

func (s *Store) append(b driver.Batch) {
	if len(b.Commits) == 0 {
		return
	}
	sh := s.shards[b.Shard]
	if sh == nil {
		sh = &shard{index: make(map[string]*[]mark)}
		s.shards[b.Shard] = sh
	}
	for _, c := range b.Commits {
		sh.commits = append(sh.commits, c.Data)
		sh.remember(c)
		for _, k := range c.Keys {
			m := sh.index[k.Name]
			if m == nil {
				name := strings.Clone(k.Name)
				m = new([]mark)
				sh.index[name] = m
				sh.fresh = append(sh.fresh, name)
			}
			*m = append(*m, mark{k.Pos, c.Revision})
		}
	}
}

// names returns the names of the index in order. The slice never changes.
func (s *Store) names(sh int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := s.shards[sh]
	if shard == nil {
		return nil
	}
	if len(shard.fresh) > 0 {
		slices.Sort(shard.fresh)
		shard.sorted = merge(shard.sorted, shard.fresh)
		shard.fresh = nil
	}
	return shard.sorted
}

func merge(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
