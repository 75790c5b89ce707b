package eventlog

import (
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/sys"
)

// A lane keeps the last durable events of streams that are read a moment later
// (sys.Fresh) and that this process wrote, for whoever reads on from a place not far
// behind: where others write too, only for who asks for no more (Query.Own).
type recent struct {
	commits []kept // those with such events, the oldest one first, without holes
	bytes   int
}

// kept is a commit with those events only. They share no memory with what callers own.
type kept struct {
	placed
	spans []streamSpan
	size  int
}

const (
	maxRecent      = 128 // commits
	maxRecentBytes = 256 << 10
)

// keep adds what a commit that is durable now has for the reader.
func (r *recent) keep(p *part) {
	var k kept
	for i, s := range p.spans {
		if !sys.Fresh(s.name) {
			continue
		}
		if k.commit == nil {
			c := *p.commit
			c.events, c.onces, c.tables = nil, nil, nil
			k.placed = placed{&c, p.lane.shard, p.rev}
		}
		s.name = strings.Clone(s.name)
		for n := range p.commit.events {
			if e := p.commit.events[n]; e.span == uint32(i) {
				e.stream = s.name
				k.events = append(k.events, e)
				k.size += e.size()
			}
		}
		k.spans = append(k.spans, s)
	}
	if k.commit == nil {
		return
	}
	r.commits = append(r.commits, k)
	r.bytes += k.size
	n := 0
	for len(r.commits)-n > maxRecent || r.bytes > maxRecentBytes {
		r.bytes -= r.commits[n].size
		n++
	}
	r.commits = slices.Delete(r.commits, 0, n)
}

// find adds the commits with positions of a stream in a range to list, at most
// r.Limit, but none behind revision tail. ok is false when older commits may be among
// them; done when there are no others.
func (r *recent) find(list []placed, stream string, in driver.Range, tail driver.Revision) (_ []placed, done, ok bool) {
	in.From = max(in.From, 1)
	for i := range r.commits {
		c := &r.commits[i]
		at := slices.IndexFunc(c.spans, func(s streamSpan) bool { return s.name == stream })
		if at < 0 {
			continue
		}
		span := c.spans[at]
		switch {
		case !ok && span.first > in.From:
			return list, false, false
		case c.rev > tail || in.To > 0 && span.last >= in.To:
			return list, true, true
		}
		if ok = true; span.last < in.From {
			continue
		}
		if list = append(list, c.placed); len(list) == in.Limit {
			return list, false, true
		}
	}
	return list, ok, ok
}

// fetchRecent is fetchPage from memory, if that has all of it.
func (c *cursor) fetchRecent(r driver.Range) bool {
	if r.Backward || !sys.Fresh(c.key) || !c.own && !c.log.driver.Exclusive() {
		return false
	}
	ln := c.log.lanes[c.shard]
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	tail := ln.tail
	if c.sight != nil {
		if tail < c.sight.tail { // a View has seen what is not here yet
			return false
		}
		tail = c.sight.tail
	}
	page, done, ok := ln.recent.find(c.page, c.key, r, tail)
	if !ok {
		return false
	}
	c.page, c.done = page, done
	return true
}

// interrupt drops what is kept when others wrote to one of those streams meanwhile: it
// has no holes.
func (r *recent) interrupt(keys []driver.Key) {
	if len(r.commits) > 0 && slices.ContainsFunc(keys, func(k driver.Key) bool { return sys.Fresh(k.Name) }) {
		*r = recent{}
	}
}

// learnEnd notes the version of a fresh stream that a reading came to the end of, which
// began when the lane was at asOf: so that who follows it knows in memory whether a
// commit of this process added to it.
func (c *cursor) learnEnd(asOf driver.Revision) {
	if c.sight != nil || c.left.Backward || !sys.Fresh(c.key) {
		return
	}
	version := uint64(0)
	if n := len(c.page); n > 0 && c.page[n-1].rev <= asOf {
		version = c.page[n-1].pos(c.key)
	} else if n > 0 || c.left.From > 1 {
		return
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.log.lanes[c.shard].window.learn(c.key, version, asOf)
}
