package eventlog

import (
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// news is what another writer put into a lane.
type news struct {
	lane      *lane
	floor     driver.Revision // commits up to here are not among them
	floorTime int64
	stand     int // of those that it was told of ahead, the first ones, so many are still there
	durable   int // of these: all or none
	commits   []newCommit
	ahead     []*part // under way behind these
}

type newCommit struct {
	keys []driver.Key
	time int64
}

// tail is the last durable revision that they tell of.
func (n *news) tail() driver.Revision {
	return n.floor + driver.Revision(n.durable+len(n.commits))
}

// next is the revision behind all that they tell of.
func (n *news) next() driver.Revision {
	return n.tail() + driver.Revision(n.stand-n.durable+len(n.ahead)) + 1
}

// any reports whether they tell of anything.
func (n *news) any() bool { return n.stand+len(n.commits)+len(n.ahead) > 0 }

// fetchNews returns what a refused group did not know.
func (l *Log) fetchNews(g *group, refusal *driver.TailError) ([]news, error) {
	out := make([]news, 0, len(g.lanes)+len(refusal.News))
	x := newTeller(refusal)
	moved := g.free || g.foreign != nil || len(refusal.Ahead) > 0 // which may fail, or has
	for i, ln := range g.lanes {
		n, ok, err := l.told(g, i, x)
		if err == nil && !ok {
			n, err = l.newsOf(ln)
		}
		if err != nil {
			return nil, fmt.Errorf("catch up with shard %d: %w", ln.shard, err)
		}
		moved = moved || n.any()
		out = append(out, n)
	}
	if !moved {
		return nil, missing(refusal.Shard, refusal.Tail+1)
	}
	return l.newsBeside(out, g, x)
}

func missing(shard int, rev driver.Revision) error {
	return &driver.CorruptError{Shard: shard, Revision: rev,
		Reason: "missing, though it was there: has the store been replaced under a running process?"}
}

// newsBeside adds the news of lanes that the group does not use, but whose queue it
// is the flight of: the next group is likely to use them.
func (l *Log) newsBeside(out []news, g *group, x *teller) ([]news, error) {
	seen := make([]bool, len(l.lanes))
	for _, ln := range g.lanes {
		seen[ln.shard] = true
	}
	take := func(b *driver.Batch) error {
		if b.Shard < 0 || b.Shard >= len(l.lanes) || seen[b.Shard] || !slices.Contains(g.queues, l.lanes[b.Shard].queue) {
			return nil
		}
		seen[b.Shard] = true
		ln := l.lanes[b.Shard]
		n, ok, err := l.toldOf(ln, ln.tail+1, nil, x)
		if err != nil {
			return fmt.Errorf("catch up with shard %d: %w", ln.shard, err)
		}
		l.mu.Lock()
		if n.any() || ok && ln.foreign > 0 { // what was told before has failed
			out = append(out, n)
		}
		l.mu.Unlock()
		return nil
	}
	for i := range x.News {
		if err := take(&x.News[i]); err != nil {
			return nil, err
		}
	}
	for i := range x.Ahead {
		if err := take(&x.Ahead[i].Batch); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// told returns the news of a group's lane that came with the refusal. ok is false when
// there are none, or not all since the lane's tail.
func (l *Log) told(g *group, lane int, x *teller) (n news, ok bool, err error) {
	var behind []*part
	if g.foreign != nil {
		behind = g.foreign[lane]
	}
	return l.toldOf(g.lanes[lane], g.write.Batches[lane].First, behind, x)
}

// toldOf returns the news of a lane from a revision on. Between its tail and that lies
// what the writer stood behind, of which it was told before.
func (l *Log) toldOf(ln *lane, first driver.Revision, behind []*part, x *teller) (n news, ok bool, err error) {
	n = news{lane: ln, floor: ln.tail}
	i := slices.IndexFunc(x.News, func(b driver.Batch) bool { return b.Shard == ln.shard && b.First <= first })
	if i >= 0 {
		ok = true
		n.stand, n.durable = len(behind), len(behind)
		for _, p := range behind {
			l.see(ln.shard, p.rev)
		}
		n.commits = cut(&x.commits, len(x.News[i].Commits))
		for _, raw := range x.News[i].Commits {
			switch {
			case raw.Revision <= n.tail():
				continue
			case raw.Revision != n.tail()+1:
				return n, false, nil
			}
			if raw.Time == 0 { // not one of ours
				return n, false, nil
			}
			l.clock.observe(raw.Time)
			n.commits = append(n.commits, newCommit{raw.Keys, raw.Time})
			l.see(ln.shard, raw.Revision)
		}
	}
	for i := range x.Ahead {
		f := &x.Ahead[i]
		if f.Batch.Shard != ln.shard {
			continue
		}
		if !ok && f.Batch.First == first { // what it stood behind is still under way
			n.stand, ok = len(behind), true
		}
		if f.Batch.First != n.next() {
			break
		}
		if n.ahead, ok = x.takeAhead(l, n.ahead, ln, f); !ok {
			l.wary.Store(true) // from now on it waits until others' writes are decided on
			return n, false, nil
		}
	}
	return n, ok, nil
}

// newCommit returns what a lane has to know of a commit that was read.
func (l *Log) newCommit(shard int, raw driver.Commit) (newCommit, error) {
	c, err := l.decode(shard, raw, "")
	if err != nil {
		return newCommit{}, err
	}
	return newCommit{c.keys(raw.Revision, l.opts.Index), c.time}, nil
}

// A teller is a refusal with memory for what is taken from it.
type teller struct {
	*driver.TailError
	commits []newCommit
	parts   []part
	marks   []mark
}

func newTeller(refusal *driver.TailError) *teller {
	x := &teller{TailError: refusal}
	var commits, ahead, keys int
	for i := range refusal.News {
		commits += len(refusal.News[i].Commits)
	}
	for i := range refusal.Ahead {
		ahead += len(refusal.Ahead[i].Batch.Commits)
		for j := range refusal.Ahead[i].Batch.Commits {
			keys += len(refusal.Ahead[i].Batch.Commits[j].Keys)
		}
	}
	x.commits, x.parts, x.marks = make([]newCommit, commits), make([]part, ahead), make([]mark, keys)
	return x
}

// cut takes memory for n of what there is, or makes some.
func cut[T any](room *[]T, n int) []T {
	if n > len(*room) {
		return make([]T, 0, n)
	}
	out := (*room)[:0:n]
	*room = (*room)[n:]
	return out
}

// takeAhead adds the commits of a flight to those that are under way in a lane. ok is false
// when they are not what this program would write.
func (x *teller) takeAhead(l *Log, ahead []*part, ln *lane, f *driver.Flight) (_ []*part, ok bool) {
	parts := cut(&x.parts, len(f.Batch.Commits))
	for _, raw := range f.Batch.Commits {
		if checkStored(ln.shard, raw.Revision, raw.Data) != nil || raw.Time == 0 || l.clock.ahead(raw.Time, l.opts.MaxSkew) != nil {
			return ahead, false
		}
		l.clock.observe(raw.Time)
		parts = append(parts, part{lane: ln, rev: raw.Revision, time: raw.Time, keys: raw.Keys, was: cut(&x.marks, len(raw.Keys)), write: f.Write, raw: raw.Data})
		ahead = append(ahead, &parts[len(parts)-1])
	}
	return ahead, true
}

// newsOf reads the commits behind a lane's tail, which moves only with the
// lane's own write. Of very many it reads the last, as many as a window holds.
func (l *Log) newsOf(ln *lane) (news, error) {
	n := news{lane: ln, floor: ln.tail}
	tail, err := l.driver.Tail(l.ctx, ln.shard)
	if err != nil {
		return n, err
	}
	if tail < n.floor {
		return n, missing(ln.shard, tail+1)
	}
	if tail > n.floor+windowCommits {
		n.floor = tail - windowCommits
		at, err := l.commitAt(l.ctx, ln.shard, n.floor)
		if err != nil {
			return n, err
		}
		n.floorTime = at.time
	}
	for raw, err := range l.driver.Read(l.ctx, ln.shard, driver.Range{From: uint64(n.floor) + 1}) {
		if err != nil {
			return n, err
		}
		c, err := l.newCommit(ln.shard, raw)
		if err != nil {
			return n, err
		}
		n.commits = append(n.commits, c)
	}
	return n, nil
}

// learn brings a lane of whose own commits none is pending to what is new.
func (ln *lane) learn(n news) {
	ln.rewind(n.stand)
	if n.floor > ln.tail {
		ln.window = newWindow(n.floor, n.floorTime)
		ln.lastTime, ln.tailTime = n.floorTime, n.floorTime
		ln.recent = recent{}
	}
	for _, p := range ln.pending[:n.durable] {
		ln.recent.interrupt(p.keys)
		ln.tailTime = p.time
	}
	ln.pending = slices.Delete(ln.pending, 0, n.durable)
	var was []mark // nobody undoes what is durable
	for _, c := range n.commits {
		was = ln.window.add(c.keys, c.time, was[:0])
		ln.recent.interrupt(c.keys)
		ln.lastTime = max(ln.lastTime, c.time)
		ln.tailTime = ln.lastTime
	}
	ln.tail, ln.foreign = n.tail(), n.stand-n.durable
	ln.next = ln.tail + driver.Revision(ln.foreign)
	ln.window.evict(ln.tail)
	ln.expect(n.ahead)
	ln.moved()
}
