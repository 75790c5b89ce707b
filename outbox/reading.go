package outbox

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

const (
	aheadBytes = 4 << 20   // payloads in memory of a shard, about
	batchBytes = 512 << 10 // payloads of a batch, about
	cellsPage  = 1024      // cells that are read at a time
)

// A reading is work on the store that is done beside the engine's goroutine; what
// it returns is done in it.
type reading func(ctx context.Context) (func(), error)

var (
	loading  = []func(s *source, now time.Time) reading{(*source).load}
	readings = []func(s *source, now time.Time) reading{(*source).ahead, (*source).again, (*source).recount,
		(*source).timers, (*source).unpark, (*source).drainStop}
)

const scans = 3 // the first of the readings that is one of cells

// read starts the next reading, if there is something to read and room for it.
// The kinds of reading take turns; those of cells wait while cells are saved.
func (s *source) read(now time.Time) {
	if s.reading || s.lost || now.Before(s.pause) {
		return
	}
	kinds := readings
	if !s.loaded {
		kinds = loading
	}
	for i := range kinds {
		k := (s.rotation + i) % len(kinds)
		if k >= scans && (s.saving || s.overdue(now)) {
			continue
		}
		next := kinds[k](s, now)
		if next == nil {
			continue
		}
		s.rotation = k + 1
		s.reading, s.scanning = true, k >= scans
		s.do(func(ctx context.Context) func() {
			then, err := next(ctx)
			return func() {
				s.reading, s.scanning = false, false
				if s.failed("the steps of a shard cannot be read", err) {
					s.more, s.others = true, true
					return
				}
				then()
			}
		})
		return
	}
}

// failed takes note of how work on the store went.
func (s *source) failed(what string, err error) bool {
	if s.err = err; err == nil {
		s.misses = 0
		return false
	}
	s.misses++
	s.pause = time.Now().Add(faults.delay(s.misses))
	s.trouble(what, s.shard, err)
	return true
}

// load finds what waits in cells since the shard was in other hands.
func (s *source) load(time.Time) reading {
	return func(ctx context.Context) (func(), error) {
		value, version, err := s.Log.ReadCell(ctx, cursorKey(s.shard))
		if err != nil {
			return nil, err
		}
		stopped, err := s.stoppedTargets(ctx)
		if err != nil {
			return nil, err
		}
		types, err := s.parkedTypes(ctx)
		return func() { s.begin(decodeMark(value), version, stopped, types) }, err
	}
}

// stoppedTargets returns the targets of which there are cells, those that a page
// of cells has at a time.
func (s *source) stoppedTargets(ctx context.Context) (targets []string, err error) {
	for from := cellsOf(stopCells, s.shard); ; {
		names, err := s.names(ctx, stopCells, from, namesPage)
		if err != nil || len(names) == 0 {
			return targets, err
		}
		from = cellsOf(stopCells, s.shard) + names[len(names)-1] + "\x02"
		targets = append(targets, slices.Compact(names)...)
	}
}

// names returns the targets or types of the first cells from a key on, limit at
// most.
func (s *source) names(ctx context.Context, kind, from string, limit int) (names []string, err error) {
	prefix := cellsOf(kind, s.shard)
	for c, err := range s.Log.Cells(ctx, from, above(strings.TrimSuffix(prefix, "\x01")), limit) {
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(c.Key[len(prefix):], "\x01")
		names = append(names, name)
	}
	return names, nil
}

const namesPage = 256

func (s *source) begin(m mark, version uint64, stopped, types []string) {
	if !s.guest && m.Epoch > s.epoch { // somebody else has the shard, and we do not know yet
		s.lose(s)
		return
	}
	if !s.guest {
		m.Epoch = s.epoch // or the cursor was lost
	}
	s.mark, s.version, s.base, s.far, s.loaded = m, version, m.At, max(m.At, m.Far), true
	s.tail = m.At
	for _, target := range stopped {
		s.stops[target] = &stop{cells: true}
	}
	for _, typ := range types {
		s.parked = append(s.parked, parkedType{typ: typ, from: parkedKey(s.shard, typ, 0)})
	}
}

// ahead reads the next steps.
func (s *source) ahead(time.Time) reading {
	room := s.room()
	if !s.more || room < s.ReadAhead/2 || s.bytes >= aheadBytes/2 || s.leaving || s.visiting {
		return nil
	}
	q := eventlog.Query{Stream: stepsStream(s.shard), From: s.next(), Own: !s.others && !s.sweep}
	asOf, sweep := s.asOf, s.sweep && !s.others
	s.more, s.others, s.sweep = false, false, false
	return func(ctx context.Context) (func(), error) {
		if sweep { // mostly in vain
			grown, at, err := s.Log.Grown(ctx, q.Stream, q.From-1, asOf)
			if err != nil || !grown {
				return func() { s.asOf = at }, err
			}
			asOf = at
		}
		items, more, err := s.page(ctx, q, room)
		if err != nil {
			return nil, err
		}
		return func() {
			if more {
				s.more, s.others = true, s.others || !q.Own
			} else {
				s.asOf = asOf
			}
			for _, it := range items {
				s.took(it)
			}
		}, nil
	}
}

// page reads the steps that q names, limit at most. Where the log does not know how many
// there are it reads the one before them, too: then it does, and the bells of commits
// without steps cost nothing.
func (s *source) page(ctx context.Context, q eventlog.Query, limit int) (items []*item, more bool, err error) {
	from, bytes := q.From, 0
	q.Limit = limit
	if _, known := s.Log.Recent(q.Stream); !known && from > 1 {
		q.From, q.Limit = from-1, limit+1
	}
	for r, err := range s.Log.Read(ctx, q) {
		if err != nil {
			return nil, false, err
		}
		if r.Version < from {
			continue
		}
		it := newItem(&r)
		items = append(items, it)
		if bytes += it.size(); bytes >= aheadBytes/2 {
			return items, true, nil
		}
	}
	return items, len(items) == limit, nil
}

// again reads on for a lane whose steps were deferred and that has room again.
func (s *source) again(time.Time) reading {
	if s.room() <= 0 || s.bytes >= aheadBytes || s.leaving {
		return nil
	}
	from := uint64(0)
	for _, l := range s.lanes {
		if l.from > 0 && l.held <= s.laneRoom()/2 && (from == 0 || l.from < from) {
			from = l.from
		}
	}
	if from == 0 {
		return nil
	}
	return func(ctx context.Context) (func(), error) {
		items, _, err := s.page(ctx, eventlog.Query{Stream: stepsStream(s.shard), From: from}, s.ReadAhead)
		return func() { s.reread(from, items) }, err
	}
}

// reread takes in what was deferred, of all lanes that have room.
func (s *source) reread(from uint64, items []*item) {
	full := make(map[*sourceLane]bool)
	end := from
	for _, it := range items {
		end = it.version + 1
		l := s.lanes[it.lane()]
		if l == nil || l.from < from || l.from > it.version || full[l] || *s.state(it.version) != deferred {
			continue
		}
		if l.from = it.version; !s.retook(it, l) {
			full[l] = true
		}
	}
	for name, l := range s.lanes {
		switch {
		case l.from < from || full[l] || l.from >= end: // it has none, or they lie elsewhere
		case end < s.next():
			l.from = end
		default: // nothing of it is left unread
			if l.from = 0; l.held == 0 {
				delete(s.lanes, name)
			}
		}
	}
}

// timers reads what will soon be due.
func (s *source) timers(time.Time) reading {
	now := s.Log.Now()
	if soon := now.Add(s.Sweep); s.visiting || len(s.alarms) > maxAlarms/2 || s.seen.After(soon) || s.horizon > dueFrom(s.shard, soon) {
		return nil
	}
	far := now.Add(2 * s.Sweep)
	to := dueFrom(s.shard, far)
	if s.mark.Due == 0 && s.doubt == nil && !s.guest { // none are there
		s.extend(to)
		s.seen = far
		return nil
	}
	from := max(s.horizon, cellsOf(dueCells, s.shard))
	return func(ctx context.Context) (func(), error) {
		items, full, err := s.readCells(ctx, from, to, cellsPage)
		return func() {
			if full {
				to = items[len(items)-1].cell + "\x00"
			}
			s.extend(to)
			for _, it := range items {
				s.adoptDue(it)
			}
		}, err
	}
}

func (s *source) adoptDue(it *item) {
	if !s.known(it) {
		s.adopt(it, dueCells)
		it.alarm = true
		s.alarms.push(it)
	}
}

// known reports whether the source has the step of a cell that was read, or is
// done with it. What it has is told of its cell.
func (s *source) known(it *item) bool {
	if _, dropped := s.drops[it.cell]; dropped || s.celled[it.version] != nil {
		return true
	}
	have := s.hands[it.version]
	if have == nil {
		have = s.loose[it.version]
	}
	switch {
	case have != nil && have.cell == "":
		have.cell = it.cell
	case have != nil && have.cell != it.cell:
		s.drop(it.cell)
	case have == nil && it.version > s.base && it.version < s.next():
		st := s.state(it.version)
		if *st == deferred {
			*st = over
		}
		return *st != over
	}
	return have != nil
}

// recount looks, once a sweep while steps are parked, whether visitors have
// taken some of them.
func (s *source) recount(now time.Time) reading {
	if s.mark.Parked == 0 || s.guest || s.saving || s.doubt != nil || now.Before(s.counted.Add(s.Sweep)) {
		return nil
	}
	s.counted = now
	old := s.version
	return func(ctx context.Context) (func(), error) {
		value, version, err := s.Log.ReadCell(ctx, cursorKey(s.shard))
		m := decodeMark(value)
		return func() {
			if version != old && s.version == old && !s.saving && s.doubt == nil && m.Epoch == s.mark.Epoch {
				s.mark, s.version = m, version
			}
		}, err
	}
}

// A parkedType is a type of parked steps that this runner knows.
type parkedType struct{ typ, from string }

// unpark reads parked steps whose type is known now.
func (s *source) unpark(time.Time) reading {
	if len(s.parked) == 0 || s.room() < s.ReadAhead/2 || s.leaving {
		return nil
	}
	p := &s.parked[0]
	to := cellsOf(parkedCells, s.shard) + p.typ + "\x02"
	return func(ctx context.Context) (func(), error) {
		items, full, err := s.readCells(ctx, p.from, to, min(cellsPage, s.ReadAhead/2))
		if err == nil && p.typ == unreadable {
			err = s.decodeAgain(ctx, items)
		}
		return func() {
			for _, it := range items {
				p.from = it.cell + "\x00"
				if it.err != nil || s.known(it) {
					continue
				}
				it.reason = ""
				s.adopt(it, parkedCells)
				s.admit(it)
			}
			if !full {
				s.parked = s.parked[1:]
			}
		}, err
	}
}

// decodeAgain decodes steps again that were not readable once.
func (s *source) decodeAgain(ctx context.Context, items []*item) error {
	for _, it := range items {
		for r, err := range readSteps(ctx, s.Log, s.shard, []uint64{it.version}) {
			if err != nil {
				return err
			}
			cell := it.cell
			*it = *newItem(&r)
			it.cell = cell
		}
	}
	return nil
}

// loadSteps reads the payloads of steps of a shard.
func loadSteps(ctx context.Context, l *eventlog.Log, shard int, works []*work) error {
	slices.SortFunc(works, func(a, b *work) int { return int(int64(a.version) - int64(b.version)) })
	versions := make([]uint64, 0, len(works))
	for _, w := range works {
		if n := len(versions); n == 0 || versions[n-1] != w.version { // a batch may have a step twice
			versions = append(versions, w.version)
		}
	}
	i := 0
	for r, err := range readSteps(ctx, l, shard, versions) {
		if err != nil {
			return err
		}
		for ; i < len(works) && works[i].version == r.Version; i++ {
			works[i].decode(r.Data)
		}
	}
	return nil
}
