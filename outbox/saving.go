package outbox

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

const (
	saveEvery = 500 * time.Millisecond
	saveCells = 1000 // cells that one saving changes, of each kind
)

// A saving moves the cursor, and puts what waits into cells, in one write.
type saving struct {
	mark  mark
	base  uint64
	puts  []*item
	cells []driver.Cell // of the puts
	old   []string      // the cells that they leave
	drops []string
}

// save starts a saving when it is time, or when waiting items take up the room.
func (s *source) save(now time.Time, force bool) {
	if s.visiting {
		s.leave()
		return
	}
	crowded := len(s.loose) > 0 && s.room() < s.ReadAhead/2 || len(s.loose)+len(s.drops) >= saveCells
	if !s.dirty || s.saving || s.guest || s.lost || !s.loaded || now.Before(s.pause) || !force && !crowded && now.Before(s.saved.Add(saveEvery)) {
		return
	}
	s.saving, s.dirty, s.saved = true, false, now
	v := s.prepare()
	old := s.version
	s.do(func(ctx context.Context) func() {
		now, version, err := s.store(ctx, old, v)
		return func() { s.stored(v, now, version, err) }
	})
}

// prepare says what is to be saved.
func (s *source) prepare() *saving {
	v := &saving{mark: s.mark}
	put := make(map[uint64]bool)
	for _, it := range s.loose {
		if len(v.puts) == saveCells {
			s.dirty = true
			break
		}
		key := s.cellKey(it)
		v.puts, v.old = append(v.puts, it), append(v.old, it.cell)
		v.cells = append(v.cells, driver.Cell{Key: key, Value: it.header()})
		put[it.version] = true
		v.mark.count(key, 1)
		if it.cell != "" {
			v.mark.count(it.cell, -1)
		}
	}
	n := min(len(s.drops), saveCells)
	v.drops, s.drops = s.drops[:n:n], s.drops[n:]
	s.dirty = s.dirty || len(s.drops) > 0
	for _, key := range v.drops {
		v.mark.count(key, -1)
	}
	for v.base = s.base; v.base+1 < s.next(); v.base++ {
		if st := *s.state(v.base + 1); st != over && !put[v.base+1] {
			break
		}
	}
	v.mark.At = v.base
	return v
}

// count adds to the number of cells of the kind that a key has.
func (m *mark) count(key string, n int) {
	switch kind, _, _ := cutCell(key); kind {
	case dueCells:
		m.Due = max(0, m.Due+n)
	case parkedCells:
		m.Parked = max(0, m.Parked+n)
	case stopCells:
		m.Stopped = max(0, m.Stopped+n)
	}
}

// store writes a saving, and returns the cursor as it is then with its version.
// An answer that was lost is looked for.
func (s *source) store(ctx context.Context, old uint64, v *saving) (now mark, version uint64, err error) {
	value := v.mark.encode()
	ops := []driver.CellOp{{Op: driver.Put, If: &old, Cell: driver.Cell{Key: cursorKey(s.shard), Value: value}}}
	put := make(map[string]bool)
	for _, c := range v.cells {
		ops = append(ops, driver.CellOp{Op: driver.Put, Cell: c})
		put[c.Key] = true
	}
	dropped := make(map[string]bool)
	for _, list := range [][]string{v.old, v.drops} {
		for _, key := range list {
			if key != "" && !put[key] && !dropped[key] {
				ops = append(ops, dropCell(key))
				dropped[key] = true
			}
		}
	}
	if version, err = s.Log.SwapCells(ctx, ops...); err == nil {
		return v.mark, version, nil
	}
	refused := new(driver.CellError)
	if !errors.Is(err, eventlog.ErrUnknown) && !errors.As(err, &refused) {
		return now, 0, err
	}
	stored, version, rerr := s.Log.ReadCell(ctx, cursorKey(s.shard))
	now = decodeMark(stored)
	switch {
	case rerr != nil:
		return now, 0, rerr
	case version > old && bytes.Equal(stored, value):
		return now, version, nil // it is there, by this write or an earlier one like it
	case now.Epoch != v.mark.Epoch:
		return now, 0, errLost
	}
	return now, version, err
}

// errLost: another runner has the cursor.
var errLost = errors.New("the cursor is in other hands")

// stored takes in how a saving went.
func (s *source) stored(v *saving, now mark, version uint64, err error) {
	s.saving = false
	if s.failed("the cursor of a shard cannot be saved", err) {
		s.dirty = true
		s.drops = append(v.drops, s.drops...)
		if version > 0 { // an earlier saving whose answer was lost, or a visitor
			s.mark, s.version, s.pause = now, version, time.Time{}
		}
		if errors.Is(err, errLost) {
			s.lose(s)
		}
		return
	}
	s.mark, s.version = v.mark, version
	s.states = append([]state(nil), s.states[v.base-s.base:]...)
	s.base = v.base
	for i, it := range v.puts {
		s.put(it, v.cells[i].Key)
	}
}

// put notes that an item is in a cell now.
func (s *source) put(it *item, key string) {
	if it.over { // meanwhile
		s.drops, s.dirty = append(s.drops, key), true
		return
	}
	it.cell = key
	s.celled[it.version] = it
	if s.loose[it.version] != it {
		return // it is in hand again
	}
	if key != s.cellKey(it) { // it waits for something else by now
		s.dirty = true
		return
	}
	delete(s.loose, it.version)
	*s.state(it.version) = over
	s.celledNow(it)
	s.forget(it)
}
