package pebblelog

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A stage holds the group that the leader is putting together: what its
// requests have changed so far, seen by those behind them.
type stage struct {
	requests []*request
	shards   []*shard          // whose next revision has moved
	versions map[string]uint64 // of the cells written
	merged   *pebble.Batch     // reused
}

func (s *stage) reset() {
	clear(s.requests)
	s.requests = s.requests[:0]
	s.shards = s.shards[:0]
	clear(s.versions)
}

// cells reports whether a cell is written.
func (s *stage) cells() bool { return len(s.versions) > 0 }

// check returns nil when all conditions of w hold behind what is staged.
func (s *stage) check(l *Log, w *driver.Write) error {
	for i := range w.Batches {
		b := &w.Batches[i]
		var tail driver.Revision
		if sh := l.heads.find(b.Shard); sh != nil {
			tail = sh.next
		}
		if b.First-1 != tail {
			return &driver.TailError{Shard: b.Shard, Tail: tail}
		}
	}
	for i := range w.Cells {
		if err := s.checkCell(l, &w.Cells[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) checkCell(l *Log, o *driver.CellOp) error {
	if o.If == nil {
		return nil
	}
	version, ok := s.versions[o.Cell.Key]
	if !ok {
		var err error
		if version, err = l.cellVersion(o.Cell.Key); err != nil {
			return err
		}
	}
	if version != *o.If {
		return &driver.CellError{Key: o.Cell.Key, Version: version}
	}
	return nil
}

// apply stages a request that was checked.
func (s *stage) apply(l *Log, r *request) {
	s.requests = append(s.requests, r)
	for i := range r.write.Batches {
		b := &r.write.Batches[i]
		if n := len(b.Commits); n > 0 {
			sh := l.heads.ensure(b.Shard)
			sh.next += driver.Revision(n)
			s.shards = append(s.shards, sh)
		}
	}
	for i := range r.write.Cells {
		s.applyCell(&r.write.Cells[i])
	}
}

func (s *stage) applyCell(o *driver.CellOp) {
	if s.versions == nil {
		s.versions = map[string]uint64{}
	}
	switch o.Op {
	case driver.Put:
		s.versions[o.Cell.Key] = o.Cell.Version
	case driver.Delete:
		s.versions[o.Cell.Key] = 0
	}
}

// batch returns the rows of all staged requests, nil when there are none.
func (s *stage) batch(l *Log) *pebble.Batch {
	switch len(s.requests) {
	case 0:
		return nil
	case 1:
		return s.requests[0].rows
	}
	if s.merged == nil {
		s.merged = l.db.NewBatch(pebble.WithMaxRetainedSizeBytes(maxMerged))
	}
	s.merged.Reset()
	for _, r := range s.requests {
		if err := s.merged.Apply(r.rows, nil); err != nil {
			panic(err) // rows that this package made
		}
	}
	return s.merged
}

// publish shows readers and watchers what has become durable.
func (s *stage) publish(l *Log) {
	for _, sh := range s.shards {
		sh.durable.Store(uint64(sh.next))
	}
	if s.cells() {
		l.cells.show()
	}
	l.watchers.moved(s.shards)
}
