package eventlog

import (
	"context"
	"iter"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A timeline merges what is in a shard by place: strict commits from the shard,
// relaxed appends in the order of their cells' names, folded ones from the index,
// others from the cells. Memory is bounded by a page of each, and by the ids of
// what was loose.
type timeline struct {
	*plan
	shard   int
	tail    driver.Revision // at the beginning; what saw more is newer than the snapshot
	strict  *cursor
	names   *looseNames
	waiting []waitingAppend         // of cells that were begun, sorted by place
	read    map[driver.Revision]int // of each fold that is in waiting: names of it still to come
	loose   map[ID]struct{}         // appends that were taken from cells: a fold made meanwhile may hold them
	out     *output
}

// A waitingAppend is a relaxed append with the commit it stands in.
type waitingAppend struct {
	looseName
	in     *placed
	events []event
}

func (p *plan) timeline(ctx context.Context, yield func(Record, error) bool) error {
	t := &timeline{plan: p, shard: p.shards[0], read: make(map[driver.Revision]int), loose: make(map[ID]struct{}), out: &output{plan: p, yield: yield}}
	var err error
	if t.tail, err = p.log.driver.Tail(ctx, t.shard); err != nil {
		return err
	}
	r := driver.Range{From: 1, To: uint64(t.tail) + 1}
	t.strict = &cursor{log: p.log, shard: t.shard, left: r, limit: pageLimit, done: t.tail == 0}
	t.names = &looseNames{log: p.log, shard: t.shard}
	defer t.names.stop()
	for {
		more, err := t.step(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// step yields what stands first, or takes the next cell in hand.
func (t *timeline) step(ctx context.Context) (more bool, err error) {
	commit, err := t.nextStrict(ctx)
	if err != nil {
		return false, err
	}
	name, ok, err := t.names.peek(ctx)
	if err != nil {
		return false, err
	}
	var strict looseName
	if commit != nil {
		strict = looseName{commit.rev - 1, commit.time, commit.id}
	}
	first := len(t.waiting) > 0 && (commit == nil || t.waiting[0].compare(strict) < 0)
	switch {
	case ok && name.seen > t.tail:
		t.names.end()
		return true, nil
	case ok && (!first || name.compare(t.waiting[0].looseName) <= 0) && (commit == nil || name.compare(strict) <= 0):
		return true, t.takeCell(ctx)
	case first:
		a := t.waiting[0]
		t.waiting = t.waiting[1:]
		return true, t.emit(a.in, a.events, a.time)
	case commit != nil:
		t.strict.next()
		return true, t.emit(commit, commit.events, commit.time)
	}
	return false, nil
}

// nextStrict passes over folds: their appends have other places, if any is known.
func (t *timeline) nextStrict(ctx context.Context) (*placed, error) {
	for {
		c, err := t.strict.peek(ctx)
		if err != nil || c == nil || !c.carries() {
			return c, err
		}
		t.strict.next()
	}
}

// carries reports whether the commit is found by the names of cells that it folds.
// One that was imported into a log with other shards is not.
func (c *commit) carries() bool {
	return slices.ContainsFunc(c.relaxed, func(a relaxed) bool { return !a.cell.id.IsZero() })
}

// takeCell takes the appends of the next cell in hand, and of a fold those of all
// its cells.
func (t *timeline) takeCell(ctx context.Context) error {
	name, rev, cell := t.names.name, t.names.rev, t.names.cell
	t.names.next()
	if rev == 0 {
		for _, c := range cell.commits {
			c.relaxed = []relaxed{{id: c.id, seen: cell.seen, time: c.time, events: len(c.events)}}
			for i := range c.events {
				c.events[i].version, c.events[i].part = 0, 1
			}
			t.loose[c.id] = struct{}{}
			t.add(&placed{commit: c, shard: t.shard}, c.relaxed[0].own(), c.events)
		}
		return nil
	}
	if n, ok := t.read[rev]; ok {
		if t.read[rev] = n - 1; n == 1 {
			delete(t.read, rev)
		}
		return nil
	}
	c, err := t.log.commitAt(ctx, t.shard, rev)
	if err != nil {
		return err
	}
	at, cells, from := &placed{c, t.shard, rev}, 0, 0
	for i := range c.relaxed {
		a := &c.relaxed[i]
		if !a.cell.id.IsZero() {
			cells++
		}
		if _, taken := t.loose[a.id]; !taken && a.seen <= t.tail && a.own().compare(name) >= 0 { // else it came too late
			t.add(at, a.own(), c.events[from:from+a.events])
		}
		from += a.events
	}
	if cells > 1 {
		t.read[rev] = cells - 1
	}
	return nil
}

// add keeps what waits sorted; mostly the new one is the last.
func (t *timeline) add(in *placed, n looseName, events []event) {
	i := len(t.waiting)
	for i > 0 && n.compare(t.waiting[i-1].looseName) < 0 {
		i--
	}
	t.waiting = append(t.waiting, waitingAppend{})
	copy(t.waiting[i+1:], t.waiting[i:])
	t.waiting[i] = waitingAppend{n, in, events}
}

// emit yields what matches of an append, or of a strict commit.
func (t *timeline) emit(in *placed, events []event, time int64) error {
	if !t.Since.IsZero() && time < t.Since.UnixNano() || !t.Until.IsZero() && time >= t.Until.UnixNano() {
		return nil
	}
	one := *in.commit
	one.events = events
	list, err := t.pick(nil, &placed{&one, in.shard, in.rev})
	if err != nil {
		return err
	}
	return t.out.records(list)
}

// looseNames yields the cells of a shard by name, folded or not, each once. Loose
// ones are read first, a page at a time, and then the names of folded ones up to
// its end: what is folded meanwhile is in both, and never in none.
type looseNames struct {
	log   *Log
	shard int

	page   []*looseCell // loose ones, not yielded yet
	upTo   string       // the page's last name; "": it reaches to the end
	last   string       // the name that was yielded last
	begun  bool
	over   bool
	folded func() (driver.Key, error, bool)
	close  func()
	key    driver.Key // the next of folded; no name: none up to upTo

	found bool // what follows is the next
	name  looseName
	rev   driver.Revision // that folded it; 0: it is loose
	cell  *looseCell      // the loose one
}

const loosePageBytes = 1 << 20

func (n *looseNames) stop() {
	if n.close != nil {
		n.close()
		n.close, n.folded = nil, nil
	}
}

func (n *looseNames) end() { n.over, n.found = true, false }

func (n *looseNames) next() { n.found = false }

// peek returns the next name.
func (n *looseNames) peek(ctx context.Context) (looseName, bool, error) {
	for !n.found && !n.over {
		if err := n.step(ctx); err != nil {
			return looseName{}, false, err
		}
	}
	return n.name, n.found, nil
}

func (n *looseNames) step(ctx context.Context) error {
	switch {
	case !n.begun || len(n.page) == 0 && n.key.Name == "" && n.upTo != "":
		return n.turn(ctx)
	case len(n.page) == 0 && n.key.Name == "":
		n.end()
		return nil
	}
	if len(n.page) > 0 && (n.key.Name == "" || n.page[0].String() < n.key.Name[len(looseKeys):]) {
		n.cell, n.rev, n.name = n.page[0], 0, n.page[0].looseName
		n.page = n.page[1:]
	} else {
		name, err := parseLooseName(n.key.Name[len(looseKeys):])
		if err != nil {
			return &driver.CorruptError{Shard: n.shard, Revision: driver.Revision(n.key.Pos), Reason: "indexed under " + n.key.Name + ": " + err.Error()}
		}
		n.cell, n.rev, n.name = nil, driver.Revision(n.key.Pos), name
		if len(n.page) > 0 && n.page[0].looseName == name {
			n.page = n.page[1:]
		}
		if err := n.advance(); err != nil {
			return err
		}
	}
	n.found, n.last = true, n.name.String()
	return nil
}

// turn reads the next page of loose cells, and begins with the folded ones behind
// what was yielded.
func (n *looseNames) turn(ctx context.Context) error {
	prefix := looseShard(n.shard)
	from, bytes := prefix, 0
	if n.begun {
		n.last = n.upTo
		from = prefix + n.upTo + "\x00"
	}
	n.begun, n.upTo = true, ""
	for raw, err := range n.log.driver.Cells(ctx, from, behind(prefix), 0) {
		if err != nil {
			return err
		}
		c, err := decodeLoose(n.shard, n.log.Shards(), raw)
		if err != nil {
			return err
		}
		n.log.observeLoose(c)
		n.page = append(n.page, c)
		if bytes += c.bytes; bytes >= loosePageBytes || len(n.page) == foldCells {
			n.upTo = c.String()
			break
		}
	}
	n.stop()
	after := looseKeys
	if n.last != "" {
		after = looseKeys + n.last
	}
	n.folded, n.close = iter.Pull2(n.log.driver.Keys(ctx, n.shard, looseKeys, after))
	return n.advance()
}

// advance reads the next folded name up to the page's end.
func (n *looseNames) advance() error {
	key, err, ok := n.folded()
	if err != nil {
		return err
	}
	n.key = key
	if !ok || n.upTo != "" && key.Name > looseKeys+n.upTo {
		n.key = driver.Key{}
	}
	return nil
}
