package eventlog

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A member is a transaction that stands in the lanes of all shards that it read
// or writes. It is answered once, through done.
type member struct {
	parts  []*part // one a lane
	reads  []read
	cells  []cellUse
	beside []any
	write  bool // it does more than check
	dated  bool // it has its time: a restored commit
	alone  bool // it goes without writers: they failed, which is not its business
	size   int  // bytes that it adds to a write
	time   int64
	ticket uint64
	done   chan error

	room struct { // for one lane, in one allocation
		parts  [1]*part
		part   part
		commit commit
		spans  [1]streamSpan
		keys   [1]driver.Key
		was    [1]mark
	}
}

var (
	errAgain  = errors.New("run again")   // the function has to run again
	errLook   = errors.New("look first")  // what was presumed is not so
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
		if known && !ok && m.reads[i].presumed {
			return errLook
		}
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
		p.lane.queue.add(m)
	}
	l.cells.place(m)
	l.room.take(m)
	l.kick(m.parts[0].lane.queue)
	return nil
}

// stamp gives a member its time, later than everything in its lanes.
func (l *Log) stamp(m *member) error {
	if m.dated {
		for _, p := range m.parts {
			if m.time <= p.lane.lastTime {
				return errOrder
			}
		}
		if err := l.clock.ahead(m.time, l.opts.MaxSkew); err != nil {
			return err
		}
		l.clock.observe(m.time)
		return nil
	}
	var err error
	m.time, err = l.clock.stamp(l.opts.MaxSkew)
	return err
}

// lookUp answers from the index what kept m from joining.
func (l *Log) lookUp(ctx context.Context, m *member) error {
	l.mu.Lock()
	type head struct {
		ln     *lane
		stream string
	}
	var heads []head
	var stale []*read
	for i := range m.reads {
		r := &m.reads[i]
		switch _, known := r.holds(); {
		case !known && r.presumed:
			heads = append(heads, head{r.lane, r.key})
		case !known:
			stale = append(stale, r)
		}
	}
	for _, p := range m.parts {
		if p.commit == nil {
			continue
		}
		for _, s := range p.spans {
			if _, known := p.lane.window.head(s.name); !known && !slices.Contains(heads, head{p.lane, s.name}) {
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
	return atOnce(len(heads), func(i int) error { return l.learnHead(ctx, heads[i].ln, heads[i].stream) })
}

// atOnce calls f with 0 to n-1, some at the same time: a store far away answers
// slowly, and a fold may be about hundreds of streams. It returns the first error.
func atOnce(n int, f func(i int) error) error {
	const most = 16
	if n == 1 { // as mostly
		return f(0)
	}
	var next atomic.Int64
	var work sync.WaitGroup
	errs := make([]error, min(n, most))
	for w := range errs {
		work.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = f(i)
			}
		})
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// add puts m behind all others, once.
func (q *queue) add(m *member) {
	if n := len(q.members); n == 0 || q.members[n-1] != m {
		q.members = append(q.members, m)
	}
}

// A group is the members that share one durable write.
type group struct {
	members []*member
	queues  []*queue  // it is the flight of
	lanes   []*lane   // whose batches are in write, in the same order
	foreign [][]*part // in each lane, what of other processes it stands behind
	write   driver.Write
	moved   bool // it does not stand where it was made for
	free    bool // its write is not for certain places: a refusal may tell of nothing new
	bytes   int
	events  int
	commits int
}

const (
	groupBytes   = 1 << 20 // soft: the last member may exceed it
	groupMembers = 2048
)

// kick makes sure that someone forms a group when a queue is idle. The caller
// holds the lock.
func (l *Log) kick(q *queue) {
	if q.flight == nil && !q.forming && len(q.members) > 0 {
		q.forming = true
		l.work.Add(1)
		go l.run(q)
	}
}

// run writes groups of a queue until it is empty or another queue's write has to
// end first.
func (l *Log) run(q *queue) {
	defer l.work.Done()
	for turn := false; ; { // turn says that the store keeps its place free
		// Let those join who are about to: measured, it makes groups larger and
		// costs a lone caller nothing. After a refusal they have, and the store waits.
		if !turn {
			runtime.Gosched()
			runtime.Gosched()
			l.gather(q)
		}
		l.mu.Lock()
		g := l.form(q)
		if g == nil {
			q.forming = false
			l.mu.Unlock()
			return
		}
		g.place()
		l.mu.Unlock()
		g.build(&q.stored)
		g.write.TakesAhead = !l.wary.Load()
		var err error
		if l.movable(g, &q.stored) {
			err = l.move(g)
		} else {
			err = l.write(g)
		}
		q.stored.free() // as a Write promises
		l.settle(g, err)
		turn = errors.As(err, new(*driver.TailError))

		l.mu.Lock()
		for _, other := range g.queues {
			if other != q {
				l.kick(other)
			}
		}
		q.forming = q.flight == nil && len(q.members) > 0
		more := q.forming
		l.mu.Unlock()
		if !more {
			return
		}
	}
}

// gather lets more callers join, as long as some do, where other processes write too:
// then to write less often saves more than to let the store wait costs, which is busy.
func (l *Log) gather(q *queue) {
	const most = 8
	for n, i := 0, 0; i < most; i++ {
		l.mu.Lock()
		grown := q.crowded && len(q.members) > n
		n = len(q.members)
		l.mu.Unlock()
		if !grown {
			return
		}
		runtime.Gosched()
	}
}

// form takes from the queues what can be written together now: a member goes
// with everything ahead of it in all its queues, or waits. The caller holds the
// lock.
func (l *Log) form(first *queue) *group {
	if first.flight != nil || len(first.members) == 0 {
		return nil
	}
	queues := []*queue{first}
	for {
		members, taken, wider := collect(queues)
		if wider != nil {
			queues = append(queues, wider)
			continue
		}
		if len(members) == 0 {
			return nil
		}
		g := &group{members: members}
		for i, q := range queues {
			if taken[i] > 0 {
				q.members, q.flight = slices.Delete(q.members, 0, taken[i]), g
				g.queues = append(g.queues, q)
			}
		}
		return g
	}
}

// collect merges idle queues in the order of joining, up to the limits, and says
// how many it takes from each. It returns a further idle queue when a member
// stands in that too.
func collect(queues []*queue) (members []*member, taken []int, wider *queue) {
	taken = make([]int, len(queues))
	blocked := make([]bool, len(queues))
	for size := 0; len(members) < groupMembers && size < groupBytes; {
		m := earliest(queues, taken, blocked)
		if m == nil || len(members) > 0 && (size+m.size > driver.MaxWrite || members[0].alone && m.write || len(m.beside)+len(members[0].beside) > 0) {
			break
		}
		free := true
		for _, p := range m.parts {
			i := slices.Index(queues, p.lane.queue)
			if i < 0 && p.lane.queue.flight == nil {
				return nil, nil, p.lane.queue
			}
			free = free && i >= 0 && !blocked[i]
		}
		for i, q := range queues {
			if blocked[i] || taken[i] == len(q.members) || q.members[taken[i]] != m {
				continue
			}
			if free {
				taken[i]++
			} else {
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

// earliest returns the member that joined first of those next in their queues.
func earliest(queues []*queue, taken []int, blocked []bool) *member {
	var m *member
	for i, q := range queues {
		if !blocked[i] && taken[i] < len(q.members) && (m == nil || q.members[taken[i]].ticket < m.ticket) {
			m = q.members[taken[i]]
		}
	}
	return m
}

// place makes the batches of a group's write, without the commits. They say behind which
// writes of other processes they stand. The caller holds the lock.
func (g *group) place() {
	n := min(len(g.members), 16)
	g.lanes, g.write.Batches = make([]*lane, 0, n), make([]driver.Batch, 0, n)
	for _, m := range g.members {
		for _, p := range m.parts {
			g.batch(p)
		}
	}
	foreign := 0
	for _, ln := range g.lanes {
		foreign += ln.foreign
	}
	if foreign == 0 {
		return
	}
	g.foreign = make([][]*part, len(g.lanes))
	room := make([]*part, 0, foreign)
	for i, ln := range g.lanes {
		if ln.foreign > 0 {
			start := len(room)
			room = append(room, ln.pending[:ln.foreign]...)
			g.foreign[i] = room[start:len(room):len(room)]
			g.write.Batches[i].Behind = ln.pending[ln.foreign-1].write
		}
	}
}

// batch returns the index of the lane of p among the group's, and begins its batch
// at p where it is the first.
func (g *group) batch(p *part) int {
	if i := slices.Index(g.lanes, p.lane); i >= 0 {
		return i
	}
	first := p.rev
	if p.commit == nil {
		first++
	}
	g.lanes = append(g.lanes, p.lane)
	g.write.Batches = append(g.write.Batches, driver.Batch{Shard: p.lane.shard, First: first})
	return len(g.lanes) - 1
}

// stored is memory for the commits of a queue's writes, one after the other.
type stored struct {
	data    []byte
	commits []driver.Commit
	unless  []string
	keys    []driver.Key
}

// What is kept for the next write at most: bytes and commits, and names and keys each.
const (
	keptStored  = 64 << 10
	keptCommits = 512
	keptNames   = 4 * keptCommits
)

// grow makes it enough for so many bytes and commits.
func (s *stored) grow(bytes, commits int) {
	if cap(s.data) < bytes {
		s.data = make([]byte, 0, max(bytes, min(bytes+bytes/4, keptStored)))
	}
	if cap(s.commits) < commits {
		s.commits = make([]driver.Commit, max(commits, min(commits+commits/4, keptCommits)))
	}
	s.commits = s.commits[:commits]
}

// free lets the next write have it, unless it is too much to keep.
func (s *stored) free() {
	clear(s.commits) // the keys are their transactions'
	clear(s.unless)
	clear(s.keys)
	if cap(s.data) > keptStored || cap(s.commits) > keptCommits || cap(s.unless) > keptNames || cap(s.keys) > keptNames {
		*s = stored{}
	}
}

// build completes the write of a group. All commits are stored in the memory of its queue.
func (g *group) build(s *stored) {
	g.write.ID = newID()
	g.write.Cells, g.write.Beside = g.ops(), g.members[0].beside // who has something beside is alone
	size, counts := 0, make([]int, len(g.lanes))
	for _, m := range g.members {
		for _, p := range m.parts {
			if p.commit != nil {
				counts[g.batch(p)]++
				g.commits++
				g.events += len(p.commit.events)
				size += p.commit.size()
			}
		}
	}
	s.grow(size, g.commits)
	room := s.commits
	for i, n := range counts {
		g.write.Batches[i].Commits, room = room[:0:n], room[n:]
	}
	g.encode(s.data[:0])
}

// encode puts the stored form of all commits into b, which is large enough.
func (g *group) encode(b []byte) {
	for _, m := range g.members {
		for _, p := range m.parts {
			if p.commit == nil {
				continue
			}
			start := len(b)
			b = p.commit.append(b, p.lane.shard, p.rev)
			batch := &g.write.Batches[g.batch(p)]
			batch.Commits = append(batch.Commits, driver.Commit{Revision: p.rev, Keys: p.keys, Data: b[start:len(b):len(b)], Time: p.commit.time})
		}
	}
	g.bytes = len(b)
}
