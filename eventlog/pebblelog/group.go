package pebblelog

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A group is the requests that are written as one batch. Its leader puts it
// together and hands it to the engine; the requests are then answered when it is
// durable, and so is every group before it.
type group struct {
	members []*request
	staged  []*request // those whose conditions hold and which write
	heads   []staged   // how far they move the shards

	versions map[string]uint64 // of the cells it writes
	batch    *pebble.Batch     // nil: nothing to write
	merged   *pebble.Batch     // the group's own, reused
	before   *group            // the group before, until this one is done
	done     sync.WaitGroup    // until it is durable or has failed
}

// staged is a shard with the revision that a group moves it to.
type staged struct {
	shard *shard
	to    driver.Revision
}

func newGroup(before *group) *group {
	g := &group{before: before}
	g.done.Add(1)
	return g
}

// apply checks the members one by one, stages those that hold, and hands their
// rows to the engine. It is called by one leader at a time.
func (g *group) apply(l *Log) {
	if err := l.failure.get(); err != nil {
		return // finish refuses all
	}
	full := l.space.check()
	for _, r := range g.members {
		if r.rows != nil && full != nil {
			r.err = full
		} else if r.err = g.check(l, r.write); r.err == nil && r.rows != nil {
			g.stage(l, r)
		}
	}
	if g.join(l); g.batch != nil {
		g.commit(l)
	}
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
			g.heads = append(g.heads, staged{s, s.next})
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

// join makes one batch of the rows of the staged requests.
func (g *group) join(l *Log) {
	switch len(g.staged) {
	case 0:
		return
	case 1:
		g.batch = g.staged[0].rows
		return
	}
	g.merged = l.db.NewBatch(pebble.WithMaxRetainedSizeBytes(maxMerged))
	for _, r := range g.staged {
		if err := g.merged.Apply(r.rows, nil); err != nil {
			l.failure.set(fatalError{err})
			return
		}
	}
	g.batch = g.merged
}

// commit hands the batch to the engine, which writes its log, changes its
// memtable and starts a sync. What the engine cannot survive it panics on.
func (g *group) commit(l *Log) {
	defer func() {
		if p := recover(); p != nil {
			l.failure.set(fatalError{fmt.Errorf("engine: %v", p)})
			g.batch = nil
		}
	}()
	if g.cells() {
		l.cells.hide(l.db)
	}
	var err error
	if l.opts.noSync {
		err = l.db.Apply(g.batch, pebble.NoSync)
	} else {
		err = l.db.ApplyNoSyncWait(g.batch, pebble.Sync)
	}
	if err != nil {
		panic(err)
	}
}

// finish waits until the group is durable, or has failed, shows readers what it
// changed, and completes the answers. Groups finish in order: what readers see of
// one they see of those before it, and a refusal rests on what went before too.
func (g *group) finish(l *Log) {
	if err := g.sync(l); err != nil {
		l.commits.lose(g.staged)
		l.commits.refuse(g.members, err)
	} else {
		for _, h := range g.heads {
			h.shard.durable.Store(uint64(h.to))
		}
		if g.cells() {
			l.cells.show()
		}
		l.watchers.moved(g.heads)
	}
	g.before = nil
	g.done.Done()
}

func (g *group) sync(l *Log) error {
	if g.batch != nil && !l.opts.noSync {
		if err := g.batch.SyncWait(); err != nil {
			l.failure.set(fatalError{err})
		}
	}
	if g.before != nil {
		g.before.done.Wait()
	}
	return l.failure.get()
}

// cells reports whether the group writes a cell.
func (g *group) cells() bool { return len(g.versions) > 0 }

// release gives the memory of the batches back to the engine.
func (g *group) release() {
	for _, r := range g.members {
		r.release()
	}
	if g.merged != nil {
		g.merged.Close()
	}
}
