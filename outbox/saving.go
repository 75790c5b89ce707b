package outbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

const (
	saveEvery = 500 * time.Millisecond
	saveCells = 1000 // cells that one saving changes, of each kind
)

// A saving moves the cursor, and puts what waits into cells, in one write. While
// one is under way no cells are read, and the other way round: so what a reading
// finds is what the source knows of.
type saving struct {
	mark  mark
	base  uint64
	far   uint64 // cells of versions up to it may be there already
	puts  []*item
	cells []driver.Cell // of the puts
	old   []string      // the cells that they leave
	drops []string
	doubt bool // it may be done, or may still be: it is repeated as it is
}

// save starts a saving when it is time, or when waiting items take up the room.
func (s *source) save(now time.Time, force bool) {
	if s.visiting {
		s.leave()
		return
	}
	crowded := len(s.loose) > 0 && s.room() < s.ReadAhead/2 || len(s.loose)+len(s.drops) >= saveCells
	if !s.dirty || s.saving || s.scanning || s.guest || s.lost || !s.loaded || now.Before(s.pause) || !force && !crowded && now.Before(s.saved.Add(saveEvery)) {
		return
	}
	s.saving, s.dirty, s.saved = true, false, now
	v := s.doubt
	if s.doubt = nil; v == nil {
		v = s.prepare()
	}
	old := s.version
	s.do(func(ctx context.Context) func() {
		now, version, err := s.store(ctx, old, v)
		return func() { s.stored(v, now, version, err) }
	})
}

// overdue reports whether readings of cells have to let a saving go first.
func (s *source) overdue(now time.Time) bool {
	return s.dirty && !s.guest && now.After(s.saved.Add(2*saveEvery))
}

// prepare says what is to be saved.
func (s *source) prepare() *saving {
	v := &saving{mark: s.mark, far: s.far}
	v.mark.Saving = eventlog.ID(uuid.New())
	put := make(map[uint64]bool)
	versions := slices.Sorted(maps.Keys(s.loose)) // in order: what is in cells goes on first
	for _, version := range versions[:min(len(versions), saveCells)] {
		it := s.loose[version]
		key := s.cellKey(it)
		v.puts, v.old = append(v.puts, it), append(v.old, it.cell)
		v.cells = append(v.cells, driver.Cell{Key: key, Value: it.header()})
		put[version] = true
		v.mark.Far = max(v.mark.Far, version)
		v.mark.count(key, 1)
		if it.cell != "" {
			v.mark.count(it.cell, -1)
		}
		it.left, it.cell = it.cell, "" // where it is is not certain until the saving is done
	}
	for key := range s.drops {
		if len(v.drops) == saveCells {
			break
		}
		v.drops = append(v.drops, key)
		v.mark.count(key, -1)
	}
	s.dirty = len(versions) > len(v.puts) || len(s.drops) > len(v.drops)
	for v.base = s.base; v.base+1 < s.next(); v.base++ {
		if st := *s.state(v.base + 1); st != over && !put[v.base+1] {
			break
		}
	}
	if v.mark.At = v.base; v.mark.Far <= v.base {
		v.mark.Far = 0
	}
	return v
}

// count adds to the number of cells of the kind that a key has. It may be below
// zero until all is counted.
func (m *mark) count(key string, n int) {
	switch kind, _, _ := cutCell(key); kind {
	case dueCells:
		m.Due += n
	case parkedCells:
		m.Parked += n
	case stopCells:
		m.Stopped += n
	}
}

// floor makes numbers that cannot be true, as after cells were lost, ones that can.
func (m *mark) floor() {
	m.Due, m.Parked, m.Stopped = max(0, m.Due), max(0, m.Parked), max(0, m.Stopped)
}

// store writes a saving, and returns the cursor as it is then with its version.
func (s *source) store(ctx context.Context, old uint64, v *saving) (now mark, version uint64, err error) {
	if !v.doubt {
		if err = s.correct(ctx, v); err != nil {
			return now, 0, err
		}
		v.mark.floor()
	}
	if version, err = s.Log.SwapCells(ctx, v.ops(s.shard, old)...); err == nil {
		return v.mark, version, nil
	}
	refused := new(driver.CellError)
	if !errors.Is(err, eventlog.ErrUnknown) && !errors.As(err, &refused) {
		return now, 0, err
	}
	stored, version, rerr := s.Log.ReadCell(ctx, cursorKey(s.shard))
	now = decodeMark(stored)
	switch {
	case rerr != nil && refused.Key != "":
		return now, 0, rerr
	case rerr != nil:
		return now, 0, err // which says that the outcome is not known
	case now.Saving == v.mark.Saving:
		return now, version, nil // it is there, by this write or an earlier one like it
	case now.Epoch != v.mark.Epoch:
		return now, 0, errLost
	case refused.Key != "":
		return now, version, errMoved
	}
	return now, 0, err
}

// ops are the write.
func (v *saving) ops(shard int, old uint64) []driver.CellOp {
	ops := []driver.CellOp{{Op: driver.Put, If: &old, Cell: driver.Cell{Key: cursorKey(shard), Value: v.mark.encode()}}}
	done := make(map[string]bool)
	for _, c := range v.cells {
		ops = append(ops, driver.CellOp{Op: driver.Put, Cell: c})
		done[c.Key] = true
	}
	for _, list := range [][]string{v.old, v.drops} {
		for _, key := range list {
			if key != "" && !done[key] {
				ops = append(ops, dropCell(key))
				done[key] = true
			}
		}
	}
	return ops
}

// correct makes the numbers true where others have put or removed cells, too: the
// holder before, of steps that the cursor had not passed, and visitors.
func (s *source) correct(ctx context.Context, v *saving) error {
	there := func(key string) (bool, error) {
		_, version, err := s.Log.ReadCell(ctx, key)
		return version > 0, err
	}
	for i, c := range v.cells {
		if v.old[i] == c.Key || v.puts[i].version > v.far {
			continue
		}
		if ok, err := there(c.Key); err != nil {
			return err
		} else if ok {
			v.mark.count(c.Key, -1)
		}
	}
	for _, list := range [][]string{v.old, v.drops} {
		for _, key := range list {
			if kind, _, _ := cutCell(key); kind != parkedCells {
				continue
			}
			if ok, err := there(key); err != nil {
				return err
			} else if !ok {
				v.mark.count(key, 1)
			}
		}
	}
	return nil
}

var (
	errLost  = errors.New("the cursor is in other hands")
	errMoved = errors.New("a visitor has changed the cursor")
)

// stored takes in how a saving went.
func (s *source) stored(v *saving, now mark, version uint64, err error) {
	s.saving = false
	switch {
	case errors.Is(err, errMoved): // it is not done, and never will be
		s.failed("", nil)
		s.mark, s.version, s.saved, s.dirty = now, version, time.Time{}, true
		s.unsettle(v)
	case err != nil:
		s.dirty = true
		if v.doubt = v.doubt || errors.Is(err, eventlog.ErrUnknown); v.doubt {
			s.doubt = v
		} else {
			s.unsettle(v)
		}
		s.failed("the cursor of a shard cannot be saved", err)
		if errors.Is(err, errLost) {
			s.lose(s)
		}
	default:
		s.failed("", nil)
		s.mark, s.version, s.dirty = now, version, s.dirty || v.doubt
		s.settleSaving(v)
	}
}

// settleSaving takes in that a saving is done.
func (s *source) settleSaving(v *saving) {
	s.states = append([]state(nil), s.states[v.base-s.base:]...)
	s.base = v.base
	for _, list := range [][]string{v.old, v.drops} {
		for _, key := range list {
			delete(s.drops, key)
		}
	}
	for i, it := range v.puts {
		if it.cell != v.old[i] && it.cell != v.cells[i].Key && it.cell != "" { // found meanwhile
			s.drop(it.cell)
		}
		it.left = ""
		s.put(it, v.cells[i].Key)
	}
}

// unsettle takes in that a saving is not done: its items are where they were.
func (s *source) unsettle(v *saving) {
	for i, it := range v.puts {
		it.left = ""
		switch old := v.old[i]; {
		case old == "" || it.cell != "":
		case it.over:
			s.drop(old)
		default:
			it.cell = old
		}
	}
}

// put notes that an item is in a cell now.
func (s *source) put(it *item, key string) {
	if it.over { // meanwhile
		s.drop(key)
		return
	}
	it.cell = key
	switch {
	case s.loose[it.version] == it:
	case s.hands[it.version] == it || it.alarm: // it goes on already
		s.celled[it.version] = it
		return
	default: // it was left to its cell, which somebody has seen before this answer came
		return
	}
	s.celled[it.version] = it
	if key != s.cellKey(it) { // it waits for something else by now
		s.dirty = true
		return
	}
	delete(s.loose, it.version)
	*s.state(it.version) = over
	s.celledNow(it)
	s.forget(it)
}

// drop has a cell removed with the next saving.
func (s *source) drop(cell string) {
	s.drops[cell] = struct{}{}
	s.dirty = true
}
