package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// Where several processes write the same shards, a group that had to know all commits
// ahead of its own would lose most races. So a store that is a driver.Mover gets the
// conditions of the group with its write, and puts the commits behind what the process
// did not know, as long as that carries none of the keys that they are about.

// movable reports whether the store may move a group's write, which is built, and
// writes down on which conditions. What rests on a place may not: who asked for any
// commit, has seen one that is pending, or restores one to its time.
func (l *Log) movable(g *group, s *stored) bool {
	if g.foreign != nil || g.commits == 0 || l.rigid.Load() {
		return false
	}
	if _, ok := l.driver.(store).mover(); !ok {
		return false
	}
	for _, m := range g.members {
		if !m.movable() {
			return false
		}
	}
	s.unless, s.keys = s.unless[:0], s.keys[:0]
	size := g.bytes
	for i, ln := range g.lanes {
		start := len(s.unless)
		for _, m := range g.members {
			s.unless = m.unless(s.unless, ln)
		}
		b := &g.write.Batches[i]
		b.Unless = s.unless[start:len(s.unless):len(s.unless)]
		for _, name := range b.Unless {
			size += len(name)
		}
		if size > driver.MaxMove || len(b.Unless) > driver.MaxUnless {
			for i := range g.write.Batches {
				g.write.Batches[i].Unless = nil
			}
			return false
		}
	}
	for i := range g.write.Batches {
		for j := range g.write.Batches[i].Commits {
			c := &g.write.Batches[i].Commits[j]
			c.Keys = s.placeless(c.Keys)
		}
	}
	g.free, g.write.Latest = true, l.clock.latest(l.opts.MaxSkew)
	return true
}

func (m *member) movable() bool {
	if m.dated || len(m.cells) > 0 || len(m.beside) > 0 {
		return false
	}
	for i := range m.reads {
		if r := &m.reads[i]; r.key == "" || r.early {
			return false
		}
	}
	return true
}

// unless adds the names to a list that nobody else may have put into a lane: m's own
// streams there, and what it read.
func (m *member) unless(list []string, ln *lane) []string {
	own := len(list)
	for _, p := range m.parts {
		if p.lane != ln {
			continue
		}
		for i := range p.spans {
			list = append(list, p.keys[i].Name)
		}
	}
	for i := range m.reads {
		r := &m.reads[i]
		if r.lane != ln || len(list) > own && list[len(list)-1] == r.key {
			continue
		}
		if driver.CheckName(r.key) == nil { // no commit carries another one
			list = append(list, r.key)
		}
	}
	return list
}

// placeless returns keys whose position is 0 where it is the revision of their commit.
func (s *stored) placeless(keys []driver.Key) []driver.Key {
	n := slices.IndexFunc(keys, func(k driver.Key) bool { return !isStream(k.Name) })
	if n < 0 {
		return keys
	}
	start := len(s.keys)
	s.keys = append(s.keys, keys...)
	out := s.keys[start:len(s.keys):len(s.keys)]
	for i := n; i < len(out); i++ {
		out[i].Pos = 0
	}
	return out
}

// move brings the write of a group to an outcome that the store may move.
func (l *Log) move(g *group) error {
	begin := time.Now()
	m, _ := l.driver.(store).mover()
	moved, err := m.Move(l.ctx, g.write)
	switch {
	case err == nil:
		if len(moved) > 0 {
			err = l.takeMoved(g, moved)
		}
	case errors.Is(err, errors.ErrUnsupported):
		l.rigid.Store(true)
		err = &driver.TailError{Shard: g.lanes[0].shard}
	case errors.Is(err, ErrUnknown) && l.ctx.Err() == nil && !errors.Is(err, ErrClosed):
		err = l.search(g, err)
	case l.ctx.Err() != nil && !errors.As(err, new(*driver.TailError)):
		err = fmt.Errorf("%w: the log was closed while the store did not answer: %w", ErrUnknown, err)
	}
	if err == nil {
		l.observeGroup(g, time.Since(begin))
	}
	return err
}

// A move is where the store has put a group's commits in a lane: behind the news.
type move struct {
	news
	times []int64 // of the group's own
}

// takeMoved notes where the store says that it has put a group.
func (l *Log) takeMoved(g *group, moved []driver.Moved) error {
	moves := make([]move, 0, len(moved))
	for i := range moved {
		b := &moved[i].Passed
		lane := slices.IndexFunc(g.lanes, func(ln *lane) bool { return ln.shard == b.Shard })
		if lane < 0 || len(moved[i].Times) != len(g.write.Batches[lane].Commits) || b.First != g.lanes[lane].tail+1 {
			return fmt.Errorf("%w: the store has moved what was not written", ErrUnknown)
		}
		to := move{news{lane: g.lanes[lane], floor: g.lanes[lane].tail, commits: make([]newCommit, 0, len(b.Commits))}, moved[i].Times}
		for _, c := range b.Commits {
			to.commits = append(to.commits, newCommit{c.Keys, c.Time})
		}
		if n := len(b.Commits); n > 0 {
			l.clock.observe(b.Commits[n-1].Time)
		}
		if n := len(to.times); n > 0 {
			l.clock.observe(to.times[n-1])
		}
		l.see(b.Shard, to.tail())
		moves = append(moves, to)
	}
	l.shift(g, moves)
	return nil
}

// search finds out whether a write was done whose answer was lost, which the
// store has decided on by now: its commits are there, or will never be.
func (l *Log) search(g *group, lost error) error {
	why := lost
	for attempt := 0; ; attempt++ {
		l.opts.Logger.Warn("store gave no answer to a write; looking for it", "attempt", attempt+1, "err", why)
		moves, found, err := l.written(g)
		switch {
		case err == nil && found:
			l.shift(g, moves)
			return nil
		case err == nil:
			return &driver.TailError{Shard: g.lanes[0].shard}
		case errors.Is(err, ErrClosed), errors.Is(err, ErrCorrupt), errors.Is(err, ErrFormat), l.ctx.Err() != nil:
			return fmt.Errorf("%w: %w", lost, err) // the doubt stays
		}
		why = err
		pause(l.ctx, attempt)
	}
}

// written reads on in the lanes of a group until its commits come. found is false
// when they are not there.
func (l *Log) written(g *group) (moves []move, found bool, err error) {
	for i, ln := range g.lanes {
		own := g.write.Batches[i].Commits
		if len(own) == 0 {
			continue
		}
		to, found, err := l.writtenIn(ln, own)
		if err != nil || !found {
			return nil, false, err
		}
		moves = append(moves, to)
	}
	return moves, true, nil
}

func (l *Log) writtenIn(ln *lane, own []driver.Commit) (to move, found bool, err error) {
	id := own[0].Data[seal.Size:]
	to = move{news: news{lane: ln, floor: ln.tail}}
	for raw, err := range l.driver.Read(l.ctx, ln.shard, driver.Range{From: uint64(ln.tail) + 1}) {
		if err != nil {
			return to, false, err
		}
		c, err := l.decode(ln.shard, raw, "")
		if err != nil {
			return to, false, err
		}
		if len(to.times) == 0 && !bytes.HasPrefix(id, c.id[:]) {
			to.pass(newCommit{c.keys(raw.Revision, l.opts.Index), c.time})
			continue
		}
		if to.times = append(to.times, c.time); len(to.times) == len(own) {
			return to, true, nil
		}
	}
	return to, false, nil
}

// pass adds a commit of others. Of very many it keeps the last, more than a window holds.
func (n *news) pass(c newCommit) {
	if len(n.commits) == 2*windowCommits {
		n.floor, n.floorTime = n.floor+windowCommits, n.commits[windowCommits-1].time
		n.commits = slices.Delete(n.commits, 0, windowCommits)
	}
	n.commits = append(n.commits, c)
}

// shift puts the commits of a group where the store has put them, and places anew
// everything that was placed behind it.
func (l *Log) shift(g *group, moves []move) {
	l.mu.Lock()
	g.moved = true
	waiting := l.takeOut(g)
	for i := range moves {
		moves[i].lane.learn(moves[i].news)
	}
	for _, m := range g.members {
		for i, p := range m.parts {
			p = p.again()
			m.parts[i] = p
			if p.commit == nil {
				p.rev = p.lane.next
				continue
			}
			time := p.time
			if to := slices.IndexFunc(moves, func(to move) bool { return to.lane == p.lane }); to >= 0 {
				time, moves[to].times = moves[to].times[0], moves[to].times[1:]
			}
			p.put(time) // nobody else has written to its streams: they have the versions that it knows
		}
	}
	for _, q := range g.queues {
		q.flight = g // until it is published, nobody forms the next one
	}
	queued := waiting[len(g.members):]
	l.placeAnew(queued, make([]error, len(queued)))
}
