package pebblelog

import (
	"fmt"
	"runtime/debug"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A group is the requests that are written as one batch. It is used again for
// the next group.
type group struct {
	staged   []*request        // whose conditions hold and which write
	heads    []*shard          // whose next revision has moved
	versions map[string]uint64 // of the cells written
	merged   *pebble.Batch     // the rows of several requests
}

// write checks the members one by one, each behind those before it, writes those
// that hold as one batch, and shows readers the change. The answers of those that
// do not hold are set; they are given after the sync, for they rest on it too. An
// error is the failure of the directory.
func (g *group) write(l *Log, members []*request) error {
	g.reset()
	full := l.space.check()
	for _, r := range members {
		if r.rows != nil && full != nil {
			r.err = full
		} else if r.err = g.check(l, r.write); r.err == nil && r.rows != nil {
			g.stage(l, r)
		}
	}
	if len(g.staged) == 0 {
		return nil
	}
	if err := g.sync(l); err != nil {
		return err
	}
	g.publish(l)
	return nil
}

func (g *group) reset() {
	clear(g.staged)
	g.staged, g.heads = g.staged[:0], g.heads[:0]
	clear(g.versions)
}

// check returns nil when all conditions of w hold behind what is staged.
func (g *group) check(l *Log, w *driver.Write) error {
	for i := range w.Batches {
		b := &w.Batches[i]
		var tail driver.Revision
		if s := l.heads.find(b.Shard); s != nil {
			tail = s.next
		}
		if b.First-1 != tail {
			return &driver.TailError{Shard: b.Shard, Tail: tail}
		}
	}
	for i := range w.Cells {
		if err := g.checkCell(l, &w.Cells[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) checkCell(l *Log, o *driver.CellOp) error {
	if o.If == nil {
		return nil
	}
	version, ok := g.versions[o.Cell.Key]
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

// stage adds a request that was checked.
func (g *group) stage(l *Log, r *request) {
	g.staged = append(g.staged, r)
	for i := range r.write.Batches {
		b := &r.write.Batches[i]
		if n := len(b.Commits); n > 0 {
			s := l.heads.ensure(b.Shard)
			s.next += driver.Revision(n)
			g.heads = append(g.heads, s)
		}
	}
	for i := range r.write.Cells {
		g.stageCell(&r.write.Cells[i])
	}
}

func (g *group) stageCell(o *driver.CellOp) {
	if o.Op == driver.Check {
		return
	}
	if g.versions == nil {
		g.versions = map[string]uint64{}
	}
	if o.Op == driver.Put {
		g.versions[o.Cell.Key] = o.Cell.Version
	} else {
		g.versions[o.Cell.Key] = 0
	}
}

// batch returns the rows of all staged requests.
func (g *group) batch(l *Log) (*pebble.Batch, error) {
	if len(g.staged) == 1 {
		return g.staged[0].rows, nil
	}
	if g.merged == nil {
		g.merged = l.db.NewBatch(pebble.WithMaxRetainedSizeBytes(maxMerged))
	}
	g.merged.Reset()
	for _, r := range g.staged {
		if err := g.merged.Apply(r.rows, nil); err != nil {
			return nil, err
		}
	}
	return g.merged, nil
}

// sync hands the rows to the engine and waits until they are durable. What the
// engine cannot survive it panics on.
func (g *group) sync(l *Log) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("pebblelog: the engine panicked", "panic", p, "stack", string(debug.Stack()))
			l.failure.set(fatalError{fmt.Errorf("engine: %v", p)})
			err = l.failure.get()
		}
	}()
	b, err := g.batch(l)
	if err != nil {
		panic(err)
	}
	if g.cells() {
		l.cells.hide(l.db)
	}
	how := pebble.Sync
	if l.opts.noSync {
		how = pebble.NoSync
	}
	l.nudge.due.Store(b.Count() >= manyRows)
	if err := l.db.Apply(b, how); err != nil {
		panic(err)
	}
	return l.failure.get()
}

// manyRows take longer to put into the memtable than another goroutine takes to
// get the processor.
const manyRows = 16

// cells reports whether the group writes a cell.
func (g *group) cells() bool { return len(g.versions) > 0 }

// publish shows readers and watchers what has become durable.
func (g *group) publish(l *Log) {
	l.heads.shows.Add(1)
	for _, s := range g.heads {
		s.durable.Store(uint64(s.next))
	}
	if g.cells() {
		l.cells.show()
	}
	l.heads.shows.Add(1)
	l.watchers.moved(g.heads)
}
