package outbox

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A source is a shard whose steps this runner rolls forward. It reads the
// shard's $steps stream ahead of the cursor, in order. What a lane has no room
// for is left unread (deferred), and read again when there is room, so that one
// tenant's backlog is in nobody's way. Its state belongs to the engine's
// goroutine; work that touches the store is done by others, one reading and one
// saving at a time.
type source struct {
	*engine
	shard    int
	epoch    uint64 // of the lease
	guest    bool   // another runner holds the lease: nothing is saved
	visiting bool   // a guest that is here for parked steps alone
	came     time.Time
	useful   bool // a step is over since
	loaded   bool

	mark    mark   // the cursor's cell as last seen
	version uint64 // of that cell

	base   uint64          // versions up to here need no look, or are in cells
	far    uint64          // those up to here may be in cells that this source does not know
	states []state         // of those behind
	more   bool            // there may be something to read
	others bool            // it may be of another process
	sweep  bool            // it may be that nobody told of it
	asOf   driver.Revision // of the shard, as of which everything is read
	tail   uint64          // the last version, as far as known

	hands map[uint64]*item // items in hand, by version
	bytes int              // of their payloads
	lanes map[string]*sourceLane
	loose map[uint64]*item    // they wait, and are to be put into cells
	drops map[string]struct{} // cells whose items are over
	doubt *saving             // of which it is not known whether it is done

	alarms  alarms    // what waits and stands before the horizon
	seen    time.Time // the horizon is at least there; zero: see horizon
	horizon string    // a key of cells of what is due: those from here on are not read yet
	celled  map[uint64]*item
	parked  []parkedType // to be read, now that their type is known
	stops   map[string]*stop

	reading, saving, dirty, lost, leaving bool
	scanning                              bool      // the reading is one of cells
	until                                 time.Time // it waits for what is in hand, when it is leaving
	rotation                              int       // which kind of reading comes first
	misses                                int       // readings and savings in a row that failed
	pause                                 time.Time
	saved, counted                        time.Time
	err                                   error // of the last one, nil when it went well
}

// A state says what is known of a version behind the base.
type state uint8

const (
	pending  state = iota // in hand
	over                  // it needs no further look
	deferred              // its lane had no room
	loose                 // it waits, in source.loose
)

// A sourceLane is what a source knows of a tenant.
type sourceLane struct {
	held int    // items in hand
	from uint64 // the first version that is deferred; 0: none is
}

func newSource(e *engine, shard int) *source {
	return &source{engine: e, shard: shard, came: time.Now(), more: true, others: true, hands: make(map[uint64]*item), lanes: make(map[string]*sourceLane), loose: make(map[uint64]*item),
		celled: make(map[uint64]*item), stops: make(map[string]*stop), drops: make(map[string]struct{})}
}

// next is the version to be read next.
func (s *source) next() uint64 { return s.base + uint64(len(s.states)) + 1 }

func (s *source) state(version uint64) *state {
	if version <= s.base || version >= s.next() {
		return new(state)
	}
	return &s.states[version-s.base-1]
}

func (s *source) lane(name string) *sourceLane {
	l := s.lanes[name]
	if l == nil {
		l = new(sourceLane)
		s.lanes[name] = l
	}
	return l
}

// room is how many more items the source takes in hand.
func (s *source) room() int { return s.ReadAhead - len(s.hands) - len(s.loose) }

// laneRoom is how many a lane may have in hand.
func (s *source) laneRoom() int { return max(1, s.ReadAhead/4) }

// took takes in the next version of the stream.
func (s *source) took(it *item) {
	s.states = append(s.states, pending)
	s.tail = max(s.tail, it.version)
	it.src = s
	it.handler = s.handlers.of(it.typ)
	switch stopped := s.stops[it.target] != nil; {
	case s.celled[it.version] != nil: // a cell had it already
		*s.state(it.version) = over
	case it.handler == nil || it.err != nil:
		s.park(it, errNoHandler)
	case it.again && stopped:
		s.decided(it)
	case !it.due.After(s.Log.Now()) && !s.laneTakes(it, stopped):
		*s.state(it.version) = deferred
	default:
		s.admit(it)
	}
}

// laneTakes reports whether the item's lane has room for it, and notes where it has
// none any more. What is behind a stop takes no room, but it must not overtake
// what was left unread.
func (s *source) laneTakes(it *item, stopped bool) bool {
	l := s.lanes[it.lane()]
	if l == nil || l.from == 0 && (stopped || l.held < s.laneRoom()) {
		return true
	}
	if l.from == 0 {
		l.from = it.version
	}
	return false
}

// retook takes in a version that was deferred; false: there is still no room.
func (s *source) retook(it *item, l *sourceLane) bool {
	if l.held >= s.laneRoom() {
		return false
	}
	*s.state(it.version) = pending
	it.src, it.handler = s, s.handlers.of(it.typ)
	s.admit(it)
	return true
}

// admit takes an item in hand, or lets it wait.
func (s *source) admit(it *item) {
	switch st := s.stops[it.target]; {
	case st != nil:
		s.behind(st, it)
	case it.due.After(s.Log.Now()):
		s.wait(it)
	default:
		s.hand(it)
	}
}

// hand queues an item to be rolled forward.
func (s *source) hand(it *item) {
	if it.raw = bytes.Clone(it.raw); s.bytes >= aheadBytes { // a copy: it must not keep its page in memory
		it.raw = nil
	}
	s.hands[it.version] = it
	s.lane(it.lane()).held++
	s.bytes += it.size()
	s.queues.add(it, s.Log.ShardOf(it.target))
}

// release takes an item out of hand; only its header stays.
func (s *source) release(it *item) {
	if s.hands[it.version] == it {
		delete(s.hands, it.version)
		s.bytes -= it.size()
		if l := s.lane(it.lane()); l.held > 1 || l.from > 0 {
			l.held--
		} else {
			delete(s.lanes, it.lane())
		}
	}
	it.raw, it.effect = nil, nil
}

// finish notes that an item needs no further look.
func (s *source) finish(it *item) {
	s.release(it)
	it.over, s.useful = true, true
	*s.state(it.version) = over
	delete(s.loose, it.version)
	delete(s.celled, it.version)
	if it.cell != "" {
		s.drop(it.cell)
		it.cell = ""
	}
	s.dirty = true
}

// wait lets an item wait for its time.
func (s *source) wait(it *item) {
	s.release(it)
	s.setAside(it, dueCells)
	s.arm(it)
	s.forget(it)
}

// forget lets go of an item that is in a cell and will be read from there.
func (s *source) forget(it *item) {
	if !it.alarm && s.loose[it.version] != it {
		delete(s.celled, it.version)
	}
}

// setAside has an item put into a cell with the next saving.
func (s *source) setAside(it *item, kind string) {
	it.kind = kind
	if it.cell == s.cellKey(it) { // it stands there already
		if !s.guest {
			delete(s.loose, it.version)
			*s.state(it.version) = over
		}
		return
	}
	s.dirty = true
	if s.guest { // whoever has the cursor will find it
		return
	}
	s.loose[it.version] = it
	*s.state(it.version) = loose
}

// cellKey is where an item that waits is kept.
func (s *source) cellKey(it *item) string {
	switch it.kind {
	case parkedCells:
		typ := it.typ
		if it.err != nil {
			typ = unreadable
		}
		return parkedKey(s.shard, typ, it.version)
	case stopCells:
		return stopKey(s.shard, it.target, it.version)
	}
	return dueKey(s.shard, it.due, it.version)
}

// arm makes sure that an item which waits is woken: at once when its cell has
// been read already, else when it is read.
func (s *source) arm(it *item) {
	if it.alarm {
		return
	}
	if it.kind == dueCells && !s.guest {
		key := s.cellKey(it)
		if key >= s.horizon {
			return
		}
		if len(s.alarms) >= maxAlarms {
			s.seen = time.Time{}
			s.horizon = key // the cells from here on are read later
			return
		}
	}
	it.alarm = true
	s.alarms.push(it)
}

const maxAlarms = 16384

// wakeRoom is how many items may be in hand when one that was waiting comes.
func (s *source) wakeRoom() int { return 2 * s.ReadAhead }

// wake takes in hand what is due.
func (s *source) wake(now time.Time) {
	for len(s.alarms) > 0 && !s.alarms[0].due.After(now) && len(s.hands) < s.wakeRoom() {
		it := heap.Pop(&s.alarms).(*item)
		it.alarm = false
		if it.over {
			continue
		}
		if s.loose[it.version] == it {
			delete(s.loose, it.version)
			*s.state(it.version) = pending
		}
		if st := s.stops[it.target]; st != nil && st.head != it {
			s.behind(st, it)
			continue
		}
		s.hand(it)
	}
}

// extend moves the horizon: what waits in memory and stands before is armed.
func (s *source) extend(to string) {
	if to <= s.horizon {
		return
	}
	s.horizon = to
	for _, it := range s.loose {
		if it.kind == dueCells {
			s.arm(it)
		}
	}
}

// behindTarget reports whether an item of this source for a target may be pending
// beside those of a batch.
func (s *source) behindTarget(q *queue) bool {
	if l := s.lanes[laneOf(q.target)]; l != nil && l.from > 0 || s.stops[q.target] != nil {
		return true
	}
	return slices.ContainsFunc(q.items, func(it *item) bool { return it.src == s })
}

// alarms are the items that wait, the next one first.
type alarms []*item

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(*item)) }
func (a *alarms) Pop() any {
	old := *a
	n := len(old) - 1
	x := old[n]
	old[n] = nil
	*a = old[:n]
	return x
}

func (a *alarms) push(it *item) { heap.Push(a, it) }
