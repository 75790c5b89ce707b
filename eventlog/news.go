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
	commits   []newCommit
	ahead     []*part // under way behind these
}

type newCommit struct {
	keys []driver.Key
	time int64
}

// tail is the last durable revision that they tell of.
func (n *news) tail() driver.Revision { return n.floor + driver.Revision(len(n.commits)) }

// fetchNews returns what a refused group did not know.
func (l *Log) fetchNews(g *group, refusal *driver.TailError) ([]news, error) {
	var out []news
	moved := g.foreign != nil // what it stood behind may have failed
	for i, ln := range g.lanes {
		n, ok, err := l.told(g, i, refusal)
		if err == nil && !ok {
			n, err = l.newsOf(ln)
		}
		if err != nil {
			return nil, fmt.Errorf("catch up with shard %d: %w", ln.shard, err)
		}
		moved = moved || len(n.commits)+len(n.ahead) > 0
		out = append(out, n)
	}
	if !moved {
		return nil, &driver.CorruptError{Shard: refusal.Shard, Revision: refusal.Tail + 1,
			Reason: "missing, though it was there: has the store been replaced under a running process?"}
	}
	return out, nil
}

// told returns the news of a group's lane that came with the refusal. ok is false when
// there are none, or not all since the lane's tail.
func (l *Log) told(g *group, lane int, refusal *driver.TailError) (n news, ok bool, err error) {
	ln, b := g.lanes[lane], &g.write.Batches[lane]
	n = news{lane: ln, floor: ln.tail}
	var behind []*part // what the group stood behind, told of before
	if g.foreign != nil {
		behind = g.foreign[lane]
	}
	begins := func(o *driver.Batch) bool { return o.Shard == b.Shard && o.First == b.First }
	durable := slices.IndexFunc(refusal.News, func(o driver.Batch) bool { return begins(&o) })
	if durable >= 0 {
		for _, p := range behind {
			n.commits = append(n.commits, newCommit{p.keys, p.commit.time})
			l.see(ln.shard, p.rev)
		}
		for _, raw := range refusal.News[durable].Commits {
			if raw.Revision != n.tail()+1 {
				return n, false, nil
			}
			c, err := l.decode(ln.shard, raw, "")
			if err != nil {
				return n, false, err
			}
			n.commits = append(n.commits, newCommit{c.keys(raw.Revision, l.opts.Index), c.time})
		}
	}
	for i := range refusal.Ahead {
		f := &refusal.Ahead[i]
		switch {
		case f.Batch.Shard != b.Shard:
			continue
		case durable < 0 && begins(&f.Batch): // what it stood behind is still under way
			n.ahead, durable = behind, 0
		}
		if f.Batch.First != n.tail()+driver.Revision(len(n.ahead))+1 {
			break
		}
		if n.ahead, err = l.takeAhead(n.ahead, ln, f); err != nil {
			return n, false, err
		}
	}
	return n, durable >= 0, nil
}

// takeAhead adds the commits of a flight to those that are under way in a lane.
func (l *Log) takeAhead(ahead []*part, ln *lane, f *driver.Flight) ([]*part, error) {
	for j, raw := range f.Batch.Commits {
		rev := f.Batch.First + driver.Revision(j)
		c, err := decodeOnly(ln.shard, rev, raw.Data, "")
		if err != nil {
			return ahead, err
		}
		l.clock.observe(c.time)
		p := &part{lane: ln, rev: rev, commit: c, write: f.Write}
		p.spans = c.streams(nil)
		p.keys = c.appendKeys(nil, p.spans, rev, l.opts.Index)
		ahead = append(ahead, p)
	}
	return ahead, nil
}

// newsOf reads the commits behind a lane's tail, which moves only with the
// lane's own write. Of very many it reads the last, as many as a window holds.
func (l *Log) newsOf(ln *lane) (news, error) {
	n := news{lane: ln, floor: ln.tail}
	tail, err := l.driver.Tail(l.ctx, ln.shard)
	if err != nil {
		return n, err
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
		c, err := l.decode(ln.shard, raw, "")
		if err != nil {
			return n, err
		}
		n.commits = append(n.commits, newCommit{c.keys(raw.Revision, l.opts.Index), c.time})
	}
	return n, nil
}

// learn puts durable commits of another writer into a lane that has nothing
// pending.
func (ln *lane) learn(n news) {
	if n.floor > ln.tail {
		ln.window = newWindow(n.floor, n.floorTime)
		ln.lastTime = n.floorTime
	}
	var was []mark // nobody undoes what is durable
	for _, c := range n.commits {
		was = ln.window.add(c.keys, c.time, was[:0])
		ln.lastTime = max(ln.lastTime, c.time)
	}
	ln.tailTime = ln.lastTime
	ln.tail = n.floor + driver.Revision(len(n.commits))
	ln.next = ln.tail
	ln.window.evict(ln.tail)
	ln.expect(n.ahead)
	ln.moved()
}
