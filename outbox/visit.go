package outbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// visit looks for parked steps whose type this runner knows in shards that
// others hold, who could not do them: such as those of the version before. It
// needs no lease to roll them forward, since what becomes of a step is decided
// under its tag.
func (e *engine) visit() {
	var shards []int
	for shard, s := range e.sources {
		if s == nil || s.visiting && s.loaded && len(s.parked) == 0 {
			shards = append(shards, shard)
		}
	}
	if len(shards) == 0 {
		return
	}
	e.do(func(ctx context.Context) func() {
		found, err := e.findParked(ctx, shards)
		return func() {
			if err != nil {
				e.trouble("the parked steps of other shards cannot be read", -1, err)
			}
			for _, shard := range found {
				switch s := e.sources[shard]; {
				case s == nil:
					s = newSource(e, shard)
					s.guest, s.visiting = true, true
					e.sources[shard] = s
				case s.visiting: // still, because something takes long
					s.loaded = false
				}
			}
		}
	})
}

// findParked returns the shards with parked steps of known types.
func (e *engine) findParked(ctx context.Context, shards []int) (found []int, err error) {
	for c, err := range e.Log.Cells(ctx, cellPrefix+parkedCells+"\x01", cellPrefix+parkedCells+"\x02", 1) {
		if err != nil {
			return nil, err
		}
		if c.Key == "" {
			return nil, nil
		}
		found = append(found, 0)
	}
	if len(found) == 0 { // the usual case costs one reading
		return nil, nil
	}
	found = nil
	for _, shard := range shards {
		types, err := newSource(e, shard).parkedTypes(ctx)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(types, func(typ string) bool { return typ != unreadable }) {
			found = append(found, shard)
		}
	}
	return found, nil
}

// visited ends a visit that has nothing more to do. What has failed, or waits, is
// still parked, and tried again by a later visit.
func (e *engine) visited(s *source) bool {
	if !s.loaded || s.reading || s.saving || len(s.parked)+len(s.hands)+len(s.drops) > 0 {
		return false
	}
	if now := time.Now(); !s.useful { // all was parked again: that is to take a small part of the time
		if next := now.Add(visitPause * now.Sub(s.came)); next.After(e.visits) {
			e.visits = next
		}
	}
	e.lose(s)
	return true
}

// visitPause is how many times as long as a visit that did nothing there is none.
const visitPause = 10

// leave removes the cells of parked steps that are over, and counts them off in
// the cursor, which stays where its holder has it.
func (s *source) leave() {
	if len(s.drops) == 0 || s.saving || s.scanning || s.lost || time.Now().Before(s.pause) {
		return
	}
	s.saving = true
	drops := slices.Collect(maps.Keys(s.drops))
	drops = drops[:min(len(drops), saveCells)]
	s.do(func(ctx context.Context) func() {
		err := s.unparkCells(ctx, drops)
		return func() {
			s.saving = false
			if s.failed("parked steps that are over cannot be removed", err) {
				return
			}
			for _, key := range drops {
				delete(s.drops, key)
			}
		}
	})
}

func (s *source) unparkCells(ctx context.Context, drops []string) error {
	for {
		value, version, err := s.Log.ReadCell(ctx, cursorKey(s.shard))
		if err != nil {
			return err
		}
		m := decodeMark(value)
		var ops []driver.CellOp
		for _, key := range drops {
			if _, at, err := s.Log.ReadCell(ctx, key); err != nil {
				return err
			} else if at > 0 { // not removed yet, by an earlier try
				m.count(key, -1)
				ops = append(ops, dropCell(key))
			}
		}
		if len(ops) == 0 {
			return nil
		}
		m.floor()
		ops = append(ops, driver.CellOp{Op: driver.Put, If: &version, Cell: driver.Cell{Key: cursorKey(s.shard), Value: m.encode()}})
		_, err = s.Log.SwapCells(ctx, ops...)
		if refused := new(driver.CellError); !errors.As(err, &refused) {
			return err
		}
	}
}
