package eventlog

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A member is a transaction that stands in the lanes of all shards that it read
// or writes. It is answered once, through done.
type member struct {
	parts  []*part // one a lane
	reads  []read
	cells  []cellUse
	write  bool  // it does more than check
	size   int   // bytes that it adds to a write
	at     int64 // time that it must have (a restored commit); 0: the clock's
	time   int64
	ticket uint64
	done   chan error

	room struct { // for one lane, in one allocation
		parts  [1]*part
		part   part
		commit commit
	}
}

var (
	errAgain  = errors.New("run again")   // the function has to run again
	errLookUp = errors.New("look up")     // ask the index, then join again
	errOrder  = errors.New("time passed") // a restored commit comes too late
)

// join checks a member against everything ahead of it and puts it into its
// lanes, all in one step, so that the order is the same in all of them. The
// caller holds the lock.
func (l *Log) join(m *member) error {
	if l.closed {
		return ErrClosed
	}
	lookUp := false
	for i := range m.reads {
		ok, known := m.reads[i].holds()
		if known && !ok {
			l.contend(m.reads[i].key)
			return errAgain
		}
		lookUp = lookUp || !known
	}
	for i := range m.cells {
		if !l.cells.holds(&m.cells[i]) {
			return errAgain
		}
	}
	for _, p := range m.parts {
		if _, missing := p.missing(); missing || lookUp {
			return errLookUp
		}
	}
	if err := l.stamp(m); err != nil {
		return err
	}
	l.tickets++
	m.ticket = l.tickets
	for _, p := range m.parts {
		p.place(m.time)
		p.lane.queue = append(p.lane.queue, m)
	}
	l.cells.place(m)
	l.room.take(m)
	l.kick(m.parts[0].lane)
	return nil
}

// stamp gives a member its time, later than everything in its lanes.
func (l *Log) stamp(m *member) error {
	if m.at != 0 {
		for _, p := range m.parts {
			if m.at <= p.lane.lastTime {
				return errOrder
			}
		}
		if err := l.clock.ahead(m.at, l.opts.MaxSkew); err != nil {
			return err
		}
		l.clock.observe(m.at)
		m.time = m.at
		return nil
	}
	if err := l.clock.ahead(l.clock.read(), l.opts.MaxSkew); err != nil {
		return err
	}
	m.time = l.clock.next()
	return nil
}

// lookUp answers from the index what kept m from joining.
func (l *Log) lookUp(ctx context.Context, m *member) error {
	l.mu.Lock()
	var stale []*read
	for i := range m.reads {
		if _, known := m.reads[i].holds(); !known {
			stale = append(stale, &m.reads[i])
		}
	}
	type head struct {
		ln     *lane
		stream string
	}
	var heads []head
	for _, p := range m.parts {
		if p.commit == nil {
			continue
		}
		for _, s := range p.commit.spans {
			if _, known := p.lane.window.head(s.name); !known {
				heads = append(heads, head{p.lane, s.name})
			}
		}
	}
	l.mu.Unlock()
	for _, r := range stale {
		if ok, err := r.renew(ctx, l); err != nil {
			return err
		} else if !ok {
			return errAgain
		}
	}
	for _, h := range heads {
		if err := l.learnHead(ctx, h.ln, h.stream); err != nil {
			return err
		}
	}
	return nil
}

// A group is the members that share one durable write.
type group struct {
	members []*member
	lanes   []*lane
	write   driver.Write
	bytes   int
	events  int
	commits int
}

const (
	groupBytes   = 1 << 20 // soft: the last member may exceed it
	groupMembers = 2048
)

// kick makes sure that someone forms a group when a lane is idle. The caller
// holds the lock.
func (l *Log) kick(ln *lane) {
	if ln.flight == nil && !ln.forming && len(ln.queue) > 0 {
		ln.forming = true
		l.work.Add(1)
		go l.run(ln)
	}
}

// run writes groups of a lane until its queue is empty or another lane's write
// has to end first.
func (l *Log) run(ln *lane) {
	defer l.work.Done()
	for {
		// Let those join who are about to: measured, it makes groups larger and
		// costs a lone caller nothing.
		runtime.Gosched()
		runtime.Gosched()
		l.mu.Lock()
		ln.forming = false
		g := l.form(ln)
		l.mu.Unlock()
		if g == nil {
			return
		}
		g.build()
		l.settle(g, l.write(g))

		l.mu.Lock()
		for _, other := range g.lanes {
			if other != ln {
				l.kick(other)
			}
		}
		more := ln.flight == nil && !ln.forming && len(ln.queue) > 0
		ln.forming = ln.forming || more
		l.mu.Unlock()
		if !more {
			return
		}
	}
}

// form takes from the queues what can be written together now: a member goes
// with everything ahead of it in all its lanes, or waits. The caller holds the
// lock.
func (l *Log) form(first *lane) *group {
	if first.flight != nil || len(first.queue) == 0 {
		return nil
	}
	lanes := []*lane{first}
	for {
		members, taken, wider := collect(lanes)
		if wider != nil {
			lanes = append(lanes, wider)
			continue
		}
		if len(members) == 0 {
			return nil
		}
		g := &group{members: members}
		for i, ln := range lanes {
			if taken[i] > 0 {
				clear(ln.queue[:taken[i]])
				ln.queue, ln.flight = ln.queue[taken[i]:], g
				g.lanes = append(g.lanes, ln)
			}
		}
		return g
	}
}

// collect merges the queues of idle lanes in the order of joining, up to the
// limits, and says how many it takes from each. It returns a further idle lane
// when a member stands in that too.
func collect(lanes []*lane) (members []*member, taken []int, wider *lane) {
	taken = make([]int, len(lanes))
	blocked := make([]bool, len(lanes))
	for size := 0; len(members) < groupMembers && size < groupBytes; {
		m := earliest(lanes, taken, blocked)
		if m == nil || len(members) > 0 && size+m.size > driver.MaxWrite {
			break
		}
		free := true
		for _, p := range m.parts {
			i := slices.Index(lanes, p.lane)
			if i < 0 && p.lane.flight == nil {
				return nil, nil, p.lane
			}
			free = free && i >= 0 && !blocked[i]
		}
		for _, p := range m.parts {
			if i := slices.Index(lanes, p.lane); free {
				taken[i]++
			} else if i >= 0 {
				blocked[i] = true
			}
		}
		if free {
			members = append(members, m)
			size += m.size
		}
	}
	return members, taken, nil
}

// earliest returns the member that joined first of those next in their lanes.
func earliest(lanes []*lane, taken []int, blocked []bool) *member {
	var m *member
	for i, ln := range lanes {
		if !blocked[i] && taken[i] < len(ln.queue) && (m == nil || ln.queue[taken[i]].ticket < m.ticket) {
			m = ln.queue[taken[i]]
		}
	}
	return m
}

// build makes the write of a group.
func (g *group) build() {
	g.write = driver.Write{ID: newID(), Cells: g.ops()}
	for _, ln := range g.lanes {
		b := driver.Batch{Shard: ln.shard}
		for _, m := range g.members {
			for _, p := range m.parts {
				if p.lane != ln {
					continue
				}
				if b.First == 0 {
					b.First = p.rev
					if p.commit == nil {
						b.First++
					}
				}
				if p.commit != nil {
					data := p.commit.encode(ln.shard, p.rev)
					b.Commits = append(b.Commits, driver.Commit{Revision: p.rev, Data: data, Keys: p.keys})
					g.bytes += len(data)
					g.events += len(p.commit.events)
				}
			}
		}
		g.commits += len(b.Commits)
		g.write.Batches = append(g.write.Batches, b)
	}
}
