package eventlog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A lane is the way into a shard. Everything in it is guarded by Log.mu.
//
// Whoever joins gets its revision, versions and time at once, provisionally:
// behind everything that is queued or in flight ("pending"). They are final
// unless a write ahead is lost; then all that is pending here is placed anew.
type lane struct {
	shard     int
	tail      driver.Revision // durable, as far as this process knows
	next      driver.Revision // tail with what is pending
	lastTime  int64           // of the commit at next
	tailTime  int64           // of the commit at tail
	epoch     uint64          // changes when pending commits were lost
	window    window
	recent    recent
	pending   []*part // commits in flight and queued, in order
	foreign   int     // of these, the first ones: other processes', which the store told of
	queue     *queue
	followers map[chan struct{}]struct{} // who wants to know when tail moves
	rumours   uint64                     // how often somebody said that there is more behind tail
	loose     looseQueue                 // relaxed appends to be put
	folding   chan struct{}              // held by who folds them in this process
}

// A queue is who waits to be written, and the one write in flight. Each lane has
// one of its own where a write over several shards costs the store more: a lost
// race then costs only what stands in the lane. Elsewhere (driver.Wide) all lanes
// share one queue, and the store sees one large write at a time. It is guarded by
// Log.mu.
type queue struct {
	members []*member // in the order of joining
	flight  *group
	crowded bool   // the last write was moved
	forming bool   // a goroutine forms a group, or will when its last one has ended
	stored  stored // of the flight
}

// A part is what a member does in one lane: a commit, or only its presence.
type part struct {
	lane   *lane
	rev    driver.Revision // of the commit, or of what it stands behind
	commit *commit         // nil: only checks, or nobody has read it
	spans  []streamSpan    // the streams of its events
	keys   []driver.Key
	time   int64    // of the commit
	was    []mark   // that the keys cover in the window
	seen   bool     // somebody has seen it while it was pending
	write  [16]byte // of another process that puts it: its name
	raw    []byte   // of another process: the commit as it is stored, while nobody has read it
}

func newLane(shard int, tail driver.Revision, time int64, q *queue) *lane {
	return &lane{shard: shard, tail: tail, next: tail, queue: q, window: newWindow(tail, time), lastTime: time, tailTime: time, followers: make(map[chan struct{}]struct{}), folding: make(chan struct{}, 1)}
}

// moved rings the doorbell of every follower; a bell that still rings is enough.
func (ln *lane) moved() {
	for bell := range ln.followers {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}

// A read is a condition: nothing with key happened in the lane after rev.
type read struct {
	lane     *lane
	key      string          // "" stands for any commit
	rev      driver.Revision // as of which the key was seen
	pos      uint64          // of a stream: the version that was seen, if known
	known    bool            // pos is
	presumed bool            // nobody looked: the condition is that the version is pos
	early    bool            // pending commits were seen, of this epoch
	epoch    uint64
}

// holds reports whether the condition holds for whoever joins now; known is
// false when only the index can tell.
func (r *read) holds() (ok, known bool) {
	ln := r.lane
	if r.presumed {
		v, known := ln.window.head(r.key)
		return v == r.pos, known
	}
	if r.early && r.epoch != ln.epoch {
		return false, true
	}
	if r.key == "" {
		return ln.next == r.rev, true
	}
	changed, known := ln.window.changed(r.key, r.rev)
	if !known && r.known {
		if v, ok := ln.window.head(r.key); ok {
			return v == r.pos, true
		}
	}
	return !changed, known
}

// renew asks the index whether the condition still holds, and if so moves it up
// to the tail as it was before the question.
func (r *read) renew(ctx context.Context, l *Log) (ok bool, err error) {
	l.mu.Lock()
	asOf := r.lane.tail
	l.mu.Unlock()
	ok, err = r.stands(ctx, l)
	if ok {
		r.rev = asOf
	}
	return ok, err
}

// stands asks the store whether nothing with the key came behind rev.
func (r *read) stands(ctx context.Context, l *Log) (bool, error) {
	if r.key == "" {
		tail, err := l.driver.Tail(ctx, r.lane.shard)
		return tail == r.rev, err
	}
	q := driver.Range{From: uint64(r.rev) + 1, Limit: 1}
	if isStream(r.key) { // its positions are versions
		q = driver.Range{Backward: true, Limit: 1}
	}
	for c, err := range l.driver.Find(ctx, r.lane.shard, r.key, q) {
		return err == nil && c.Revision <= r.rev, err
	}
	return true, nil
}

// sight is what a reader inside an Update may see of a lane: the durable
// commits up to tail, then pending ones.
type sight struct {
	lane  *lane
	tail  driver.Revision
	head  uint64 // of the stream asked for, pending included
	known bool   // head is
	early []*part
	epoch uint64
	view  bool // durable commits only, also those that the lane does not know yet
}

// look returns what can be seen of key ("": of everything) now. The caller
// holds the lock.
func (ln *lane) look(key string) (sight, error) {
	s := sight{lane: ln, tail: ln.tail, epoch: ln.epoch}
	if key == "" {
		return s, s.see(ln.pending...)
	}
	if isStream(key) {
		s.head, s.known = ln.window.head(key)
	}
	if m, ok := ln.window.recent(key); ok && m.rev > ln.tail {
		for _, p := range ln.pending {
			if p.carries(key) {
				if err := s.see(p); err != nil {
					return s, err
				}
			}
		}
	}
	return s, nil
}

// see adds pending commits to what is seen.
func (s *sight) see(list ...*part) error {
	for _, p := range list {
		if err := p.decode(); err != nil {
			return err
		}
		p.seen = true
		s.early = append(s.early, p)
	}
	return nil
}

// decode reads the commit of another process, which nobody has read yet.
func (p *part) decode() error {
	if p.raw == nil {
		return nil
	}
	c, err := decodeOnly(p.lane.shard, p.rev, p.raw, "")
	if err == nil {
		p.commit, p.spans, p.raw = c, c.streams(nil), nil
	}
	return err
}

// tooYoung reports that no commit, pending ones included, can carry key: what it
// stands for was born after all that the window forgot, and the window does not
// know it. The caller holds the lock.
func (ln *lane) tooYoung(key string, born time.Time) bool {
	_, known := ln.window.recent(key)
	return !known && born.UnixNano() > ln.window.floorTime
}

// asOf is the revision up to which the sight is complete.
func (s *sight) asOf() driver.Revision {
	if n := len(s.early); n > 0 {
		return s.early[n-1].rev
	}
	return s.tail
}

// read returns the condition that makes the sight of key stay true.
func (s *sight) read(key string) read {
	return read{lane: s.lane, key: key, rev: s.asOf(), pos: s.head, known: s.known, early: len(s.early) > 0, epoch: s.epoch}
}

func (p *part) carries(key string) bool {
	for i := range p.keys {
		if p.keys[i].Name == key {
			return true
		}
	}
	return false
}

// place gives the commit the next revision of its lane, its time and its
// streams' next versions. The caller holds the lock and knows the heads.
func (p *part) place(time int64) {
	ln := p.lane
	if p.commit == nil {
		p.rev = ln.next
		return
	}
	for i := range p.spans {
		s := &p.spans[i]
		head, _ := ln.window.head(s.name)
		s.last += head + 1 - s.first
		s.first = head + 1
		p.keys[i].Pos = s.last
	}
	p.number()
	p.put(time)
}

// put gives the commit the next revision of its lane and its time.
func (p *part) put(time int64) {
	ln := p.lane
	ln.next++
	ln.lastTime = time
	p.rev, p.time, p.commit.time = ln.next, time, time
	for i := len(p.spans); i < len(p.keys); i++ {
		p.keys[i].Pos = uint64(p.rev)
	}
	p.was = ln.window.add(p.keys, time, p.was[:0])
	ln.pending = append(ln.pending, p)
}

// number gives the events the versions that the spans promise.
func (p *part) number() {
	for i := range p.spans {
		p.spans[i].last = p.spans[i].first - 1
	}
	for i := range p.commit.events {
		e := &p.commit.events[i]
		s := &p.spans[e.span]
		s.last++
		e.version = s.last
	}
}

// expect puts commits of another process behind what is there, which will be durable
// unless that process's write fails. Only others' are pending. The caller holds the lock.
func (ln *lane) expect(foreign []*part) {
	for _, p := range foreign {
		p.was = ln.window.add(p.keys, p.time, p.was[:0])
		ln.next, ln.lastTime = p.rev, max(ln.lastTime, p.time)
	}
	ln.pending = append(ln.pending, foreign...)
	ln.foreign += len(foreign)
}

// again returns p to be placed anew. Who saw it before keeps what it saw.
func (p *part) again() *part {
	if !p.seen {
		return p
	}
	c := *p.commit
	c.events = slices.Clone(c.events)
	return &part{lane: p.lane, time: p.time, commit: &c, spans: slices.Clone(p.spans), keys: slices.Clone(p.keys)}
}

// missing returns a stream whose head the lane must know before p is placed.
func (p *part) missing() (stream string, ok bool) {
	if p.commit == nil {
		return "", false
	}
	for _, s := range p.spans {
		if _, known := p.lane.window.head(s.name); !known {
			return s.name, true
		}
	}
	return "", false
}

// learnHead asks the index for a stream's version and tells the lane.
func (l *Log) learnHead(ctx context.Context, ln *lane, stream string) error {
	l.mu.Lock()
	asOf := ln.tail
	l.mu.Unlock()
	version, err := l.headAt(ctx, ln.shard, stream, asOf)
	if err != nil {
		return fmt.Errorf("head of %s: %w", stream, err)
	}
	l.mu.Lock()
	ln.window.learn(stream, version, asOf)
	l.mu.Unlock()
	return nil
}

// headAt returns a stream's version at a revision of its shard. A process that has
// not looked at the shard for long is behind by many: it goes back in steps that
// double, and then halves what is left, since versions rise with revisions.
func (l *Log) headAt(ctx context.Context, shard int, stream string, asOf driver.Revision) (uint64, error) {
	at, rev, err := l.lastBelow(ctx, shard, stream, 0)
	if err != nil || rev <= asOf {
		return at, err
	}
	below, above := uint64(0), at // versions: not above asOf (at the least nothing), above it
	for step := uint64(1); above > step; step *= 2 {
		if at, rev, err = l.lastBelow(ctx, shard, stream, above-step+1); err != nil {
			return 0, err
		}
		if rev <= asOf {
			below = above - step
			break
		}
		above = at
	}
	for above-below > 1 {
		mid := below + (above-below)/2
		at, rev, err := l.lastBelow(ctx, shard, stream, mid+1)
		switch {
		case err != nil:
			return 0, err
		case rev <= asOf:
			below = mid
		default:
			above = at
		}
	}
	if below == 0 {
		return 0, nil
	}
	at, _, err = l.lastBelow(ctx, shard, stream, below+1)
	return at, err
}

// lastBelow returns the version at which a stream's last commit below one stands (0:
// its very last), and that commit's revision; 0 and 0 when there is none.
func (l *Log) lastBelow(ctx context.Context, shard int, stream string, to uint64) (version uint64, rev driver.Revision, err error) {
	at, err := l.find(ctx, shard, stream, driver.Range{To: to, Backward: true, Limit: 1})
	if err != nil || at == nil {
		return 0, 0, err
	}
	pos := at.pos(stream)
	if pos == 0 {
		return 0, 0, &driver.CorruptError{Shard: shard, Revision: at.rev, Reason: fmt.Sprintf("indexed under stream %q, which it lacks", stream)}
	}
	return pos, at.rev, nil
}

// find returns the first commit with key in a range, nil without one.
func (l *Log) find(ctx context.Context, shard int, key string, r driver.Range) (*placed, error) {
	for raw, err := range l.driver.Find(ctx, shard, key, r) {
		if err != nil {
			return nil, err
		}
		c, err := l.decode(shard, raw, "")
		if err != nil {
			return nil, err
		}
		return &placed{c, shard, raw.Revision}, nil
	}
	return nil, nil
}
