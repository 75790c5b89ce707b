package outbox

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A stop is a target that an ordered step has stopped. The steps behind it wait
// in cells, in their order; those that were not put there yet in waiting.
type stop struct {
	head    *item   // the step that failed; nil: it is over, and the others go on
	waiting []*item // not in cells yet
	cells   bool    // there may be some in cells
	from    string  // the cell to go on with
	inHand  int     // of those that go on
}

// stopAt stops a target: it failed, and the others of its source wait for it.
func (s *source) stopAt(it *item, dead bool) {
	st := s.stops[it.target]
	if st == nil {
		st = new(stop)
		s.stops[it.target] = st
	}
	s.release(it)
	st.head, st.inHand = it, 0
	s.setAside(it, stopCells)
	if it.cell != "" { // whatever stands behind it in cells, and before it what came out of parked ones
		if from := it.cell + "\x00"; !st.cells || from < st.from {
			st.from = from
		}
		st.cells = true
	}
	if !dead {
		s.arm(it)
	}
	for _, other := range s.queues.remove(it.target, func(o *item) bool { return o.src == s }) {
		s.behind(st, other)
	}
	if dead {
		s.Logger.Warn("a dead letter stops its target", "target", it.target, "type", it.typ, "step", it.id, "shard", s.shard)
	}
}

// behind lets an item wait until its target goes on.
func (s *source) behind(st *stop, it *item) {
	s.release(it)
	s.setAside(it, stopCells)
	if s.visiting { // it stays where it is
		delete(s.celled, it.version)
		return
	}
	if it.cell == s.cellKey(it) { // it is read again
		delete(s.celled, it.version)
		if st.cells = true; st.from > it.cell {
			st.from = it.cell
		}
		return
	}
	st.waiting = append(st.waiting, it)
}

// decided takes in that somebody decided on a dead letter whose target is
// stopped: the one that has stopped it is looked at again, any other one has to
// wait like all that is behind the stop.
func (s *source) decided(notice *item) {
	for _, it := range s.hands {
		it.look = it.look || it.id == notice.id // what is under way may not have seen it
	}
	st := s.stops[notice.target]
	it := st.head
	if it == nil || it.id != notice.id {
		s.behind(st, notice)
		return
	}
	if s.hands[it.version] != it && !it.alarm {
		it.due = time.Time{}
		s.resume(it)
	}
	s.finish(notice)
}

// resume takes the head of a stop in hand.
func (s *source) resume(it *item) {
	if s.loose[it.version] == it {
		delete(s.loose, it.version)
		*s.state(it.version) = pending
	}
	s.hand(it)
}

// passed notes that an item of a stopped target is over.
func (s *source) passed(it *item) {
	st := s.stops[it.target]
	switch {
	case st == nil:
		return
	case st.head == it:
		st.head = nil
		st.inHand = 0
	case st.head == nil && st.inHand > 0:
		st.inHand--
	}
	s.goOn(it.target, st)
}

// goOn lets the next ones of a stop go, if none is in hand: first those in cells.
func (s *source) goOn(target string, st *stop) {
	if st.head != nil || st.inHand > 0 || st.cells {
		return // what is in cells is read by drainStop
	}
	waiting := st.waiting
	delete(s.stops, target)
	for _, it := range waiting {
		if s.loose[it.version] == it {
			delete(s.loose, it.version)
			*s.state(it.version) = pending
		}
		it.kind = ""
		s.admit(it)
	}
}

// drainStop reads the next cells of a stop that goes on; nil: there are none.
func (s *source) drainStop(time.Time) reading {
	if s.visiting { // that is its holder's
		return nil
	}
	for target, st := range s.stops {
		if st.head != nil || st.inHand > 0 || !st.cells || s.room() <= 0 {
			continue
		}
		from, to := max(st.from, stopKey(s.shard, target, 0)), stopKey(s.shard, target, s.unreadFrom(target))
		if from >= to {
			continue
		}
		return func(ctx context.Context) (func(), error) {
			items, full, err := s.readCells(ctx, from, to, s.Batch)
			return func() { s.drained(target, st, items, full, to) }, err
		}
	}
	return nil
}

// unreadFrom returns the version from which on steps of a target may stand unread
// in the log, so that those in cells have to wait for them.
func (s *source) unreadFrom(target string) uint64 {
	from := uint64(math.MaxUint64)
	if s.next() <= s.far {
		from = s.next()
	}
	if l := s.lanes[laneOf(target)]; l != nil && l.from > 0 {
		from = min(from, l.from)
	}
	return from
}

// drained takes in the cells of a stop up to a key, and what waits in memory from
// before them.
func (s *source) drained(target string, st *stop, items []*item, full bool, to string) {
	if s.stops[target] != st || st.head != nil {
		return
	}
	through := to
	if st.cells, st.from = full || to < stopKey(s.shard, target, math.MaxUint64), to; full {
		st.from = items[len(items)-1].cell + "\x00"
		through = st.from
	}
	var next []*item
	for _, it := range items {
		if have := s.loose[it.version]; have != nil && have.kind == stopCells && have.cell == "" { // it was there before
			have.cell = it.cell
			s.celled[it.version] = have
		} else if !s.known(it) {
			s.adopt(it, stopCells)
			next = append(next, it)
		}
	}
	st.waiting = slices.DeleteFunc(st.waiting, func(it *item) bool {
		goes := stopKey(s.shard, target, it.version) < through
		if goes {
			next = append(next, it)
		}
		return goes
	})
	for _, it := range next {
		st.inHand++
		s.resume(it)
	}
	s.goOn(target, st)
}

// adopt makes an item that was read from a cell one of the source.
func (s *source) adopt(it *item, kind string) {
	it.src, it.kind = s, kind
	if it.handler = s.handlers.of(it.typ); it.handler == nil {
		it.handler = stranger
	}
	s.celled[it.version] = it
}

// celledNow notes that items of stops are in cells.
func (s *source) celledNow(it *item) {
	st := s.stops[it.target]
	if st == nil || it.kind != stopCells || st.head == it {
		return
	}
	if i := slices.Index(st.waiting, it); i >= 0 {
		st.waiting = slices.Delete(st.waiting, i, i+1)
		st.cells = true
		if st.from > it.cell {
			st.from = it.cell
		}
	}
}

// readCells reads items from cells, at most limit; full: there may be more.
func (s *source) readCells(ctx context.Context, from, to string, limit int) (items []*item, full bool, err error) {
	var c driver.Cell
	for c, err = range s.Log.Cells(ctx, from, to, limit) {
		if err != nil {
			return nil, false, err
		}
		it, err := cellItem(c.Key, c.Value)
		if err != nil {
			return nil, false, err
		}
		items = append(items, it)
	}
	return items, len(items) == limit, nil
}
