package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
)

// write brings a group's write to an outcome. When an answer was lost, absence
// proves nothing: the request may still be under way. The outcome is known only
// when the group's place is taken, so the identical write is repeated until
// then, on the log's own context.
func (l *Log) write(g *group) error {
	begin := time.Now()
	lost := false
	for attempt := 0; ; attempt++ {
		err := l.driver.Write(l.ctx, g.write)
		var tail *driver.TailError
		var cell *driver.CellError
		switch {
		case err == nil:
			l.observeGroup(g, time.Since(begin))
			return nil
		case l.ctx.Err() != nil:
			return fmt.Errorf("%w: the log was closed while the store did not answer: %w", ErrUnknown, err)
		case errors.As(err, &tail) && lost && g.commits > 0, errors.As(err, &cell) && lost && g.commits > 0:
			ours, known := l.place(g)
			if known && ours {
				l.observeGroup(g, time.Since(begin))
				return nil
			}
			if known {
				return err
			}
		case errors.As(err, &tail), errors.As(err, &cell):
			return err
		case errors.Is(err, driver.ErrStale):
			return err
		case errors.Is(err, driver.ErrBeside) && lost && g.commits > 0:
			// It will be refused each time, so its place has to be taken by something else.
			if ours, known := l.place(g); known && ours {
				l.observeGroup(g, time.Since(begin))
				return nil
			}
		case errors.Is(err, ErrUnknown) && errors.Is(err, ErrClosed):
			return err // the store takes no more writes: the doubt stays
		case errors.Is(err, ErrUnknown):
			lost = true
		case !lost:
			return err
		}
		l.opts.Logger.Warn("store gave no answer to a write; repeating it", "attempt", attempt+1, "err", err)
		pause(l.ctx, attempt)
	}
}

// place finds out who took the place of a group whose answer was lost. If it is
// still free it is taken with an empty commit, so that a late arrival of the
// group's write is refused. Of a write over several shards any one decides.
func (l *Log) place(g *group) (ours, known bool) {
	i := slices.IndexFunc(g.write.Batches, func(b driver.Batch) bool { return len(b.Commits) > 0 })
	b := g.write.Batches[i]
	first := driver.Range{From: uint64(b.First), To: uint64(b.First) + 1}
	for c, err := range l.driver.Read(l.ctx, b.Shard, first) {
		return err == nil && bytes.Equal(c.Data, b.Commits[0].Data), err == nil
	}
	from := b.First
	if b.Behind != [16]byte{} { // what it stood behind may be missing for good
		tail, err := l.driver.Tail(l.ctx, b.Shard)
		if err == nil && tail > 0 {
			_, err = l.commitAt(l.ctx, b.Shard, tail) // the clock goes behind its time
		}
		if err != nil || tail >= b.First {
			return false, false
		}
		from = tail + 1
	}
	l.fill(b.Shard, from, b.First)
	return false, false // ask again
}

// fill puts empty commits into places of a shard that nobody has taken yet: what is
// still under way to them comes too late then.
func (l *Log) fill(shard int, from, to driver.Revision) {
	w := driver.Write{ID: newID(), Batches: []driver.Batch{{Shard: shard, First: from}}}
	for rev := from; rev <= to; rev++ {
		c := &commit{id: newID(), time: l.clock.next()}
		w.Batches[0].Commits = append(w.Batches[0].Commits, driver.Commit{Revision: rev, Data: c.encode(shard, rev), Keys: c.keys(rev, l.opts.Index), Time: c.time})
	}
	_ = l.driver.Write(l.ctx, w) // the caller looks what came of it
}

// pause waits a random part of a time that doubles with each attempt, from half
// a millisecond up to half a second, or until ctx is done.
func pause(ctx context.Context, attempt int) {
	jitter.Pause(ctx, jitter.N(min(500*time.Microsecond<<min(attempt, 10), 500*time.Millisecond)))
}

// settle gives the members of a group their answers.
func (l *Log) settle(g *group, err error) {
	var tail *driver.TailError
	var cell *driver.CellError
	switch {
	case err == nil:
		l.publish(g)
	case errors.As(err, &tail):
		news, err := l.fetchNews(g, tail)
		l.fail(g, news, func(m *member) error {
			if err == nil && len(m.beside) > 0 {
				return errAgain // the store has used it up
			}
			return err
		})
	case errors.As(err, &cell):
		l.fail(g, nil, func(m *member) error {
			if m.uses(cell.Key, cell.Version) && len(m.beside) == 0 {
				return nil
			}
			return errAgain
		})
	case errors.Is(err, driver.ErrStale):
		l.fail(g, nil, func(*member) error { return errAgain })
	default:
		l.fail(g, nil, func(m *member) error {
			if m.alone = !m.write && g.writes() && !errors.Is(err, ErrUnknown); m.alone {
				return nil
			}
			return err
		})
	}
}

// writes reports whether a member does more than check.
func (g *group) writes() bool {
	return slices.ContainsFunc(g.members, func(m *member) bool { return m.write })
}

// uses reports whether m's expectation of a cell, if any, is that version.
func (m *member) uses(key string, version uint64) bool {
	i := slices.IndexFunc(m.cells, func(u cellUse) bool { return u.key == key })
	return i < 0 || m.cells[i].seen == version
}

// publish makes a group's commits visible and answers.
func (l *Log) publish(g *group) {
	l.mu.Lock()
	var heads []driver.Head
	g.land()
	for i, ln := range g.lanes {
		b := &g.write.Batches[i]
		n := ln.foreign + len(b.Commits)
		if n == 0 {
			continue
		}
		ln.tail += driver.Revision(n)
		ln.tailTime = ln.pending[n-1].time
		for i, p := range ln.pending[:n] {
			if i < ln.foreign {
				ln.recent.interrupt(p.keys)
			} else {
				ln.recent.keep(p)
			}
		}
		ln.foreign = 0
		ln.pending = slices.Delete(ln.pending, 0, n)
		ln.window.evict(ln.tail)
		ln.moved()
		if len(b.Commits) > 0 {
			heads = append(heads, driver.Head{Shard: ln.shard, Revision: ln.tail})
		}
	}
	for _, m := range g.members {
		if len(m.cells) > 0 {
			l.cells.settle(m, true)
		}
		l.room.give(m)
	}
	var hear []func(driver.Head)
	if len(heads) > 0 {
		hear = l.onCommit.now()
	}
	l.mu.Unlock()
	for _, m := range g.members {
		m.done <- nil
	}
	for _, f := range hear {
		for _, h := range heads {
			f(h)
		}
	}
}

// land makes way for the next write of the group's queues.
func (g *group) land() {
	for _, q := range g.queues {
		q.flight, q.crowded = nil, g.moved
	}
}

func (l *Log) observeGroup(g *group, d time.Duration) {
	if l.opts.Hooks.Group == nil || g.commits == 0 { // who only checks leaves nothing
		return
	}
	shards := 0
	for _, b := range g.write.Batches {
		if len(b.Commits) > 0 {
			shards++
		}
	}
	l.opts.Hooks.Group(GroupInfo{Shards: shards, Callers: len(g.members), Commits: g.commits,
		Events: g.events, Bytes: g.bytes, Duration: d})
}

// fail takes a group that was not written, and everything that was placed
// behind it, out of their lanes. Members for whom answer returns an error get
// it; the others are placed anew behind the news, if their conditions still
// hold, or run again.
func (l *Log) fail(g *group, news []news, answer func(*member) error) {
	l.mu.Lock()
	waiting := l.takeOut(g)
	for _, n := range news {
		n.lane.learn(n)
	}
	answers := make([]error, len(waiting))
	for i, m := range g.members { // waiting starts with them
		answers[i] = answer(m)
	}
	l.placeAnew(waiting, answers)
}

// takeOut takes a group, and everything that was placed behind it, out of their lanes.
// It returns all these members, in their order, first the group's. The caller holds the
// lock.
func (l *Log) takeOut(g *group) []*member {
	g.land()
	lanes, waiting := l.behind(g)
	for _, m := range waiting {
		l.cells.settle(m, false)
	}
	for _, ln := range lanes {
		ln.rewind(ln.foreign)
	}
	return waiting
}

// placeAnew gives members that were taken out of their lanes their answers, and puts
// those that have none into them again. The caller holds the lock, which is free then.
func (l *Log) placeAnew(waiting []*member, answers []error) {
	for i, m := range waiting {
		if l.room.give(m); answers[i] == nil {
			answers[i] = l.rejoin(m)
		}
	}
	l.mu.Unlock()
	for i, m := range waiting {
		if answers[i] != nil {
			m.done <- answers[i]
		}
	}
}

// behind returns the lanes of a group, those of everyone queued behind it, and so
// on, and all these members: first the group's, each part in the order of
// joining. They are off their queues.
func (l *Log) behind(g *group) (lanes []*lane, waiting []*member) {
	lanes = slices.Clone(g.lanes)
	queues := slices.Clone(g.queues)
	seen := make(map[*member]bool)
	var queued []*member
	for i := 0; i < len(queues); i++ {
		for _, m := range queues[i].members {
			if seen[m] {
				continue
			}
			seen[m] = true
			queued = append(queued, m)
			for _, p := range m.parts {
				if !slices.Contains(lanes, p.lane) {
					lanes = append(lanes, p.lane)
				}
				if !slices.Contains(queues, p.lane.queue) {
					queues = append(queues, p.lane.queue)
				}
			}
		}
		queues[i].members = nil
	}
	slices.SortFunc(queued, func(a, b *member) int { return int(a.ticket) - int(b.ticket) })
	return lanes, append(slices.Clone(g.members), queued...)
}

// rewind takes everything that is not durable out of the lane, but for the first
// commits of other processes, as many as foreign says, and what another group has in
// flight.
func (ln *lane) rewind(foreign int) {
	keep := foreign
	if g := ln.queue.flight; g != nil {
		for _, m := range g.members {
			for _, p := range m.parts {
				if p.lane == ln && p.commit != nil {
					keep++
				}
			}
		}
	}
	for i := len(ln.pending) - 1; i >= keep; i-- {
		before := ln.tailTime
		if i > 0 {
			before = ln.pending[i-1].time
		}
		ln.window.undo(ln.pending[i].keys, ln.pending[i].was, before)
	}
	ln.pending = slices.Delete(ln.pending, keep, len(ln.pending))
	ln.foreign = foreign
	ln.next = ln.tail + driver.Revision(keep)
	ln.epoch++
	ln.lastTime = ln.window.time()
	ln.moved()
}

// rejoin places m anew. errAgain says that its function has to run again.
func (l *Log) rejoin(m *member) error {
	for i, p := range m.parts {
		m.parts[i] = p.again()
	}
	if err := l.join(m); err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrClock) {
		return err
	}
	return errAgain
}
