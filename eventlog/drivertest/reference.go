package drivertest

import (
	"maps"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A reference is a store as the contract describes it and nothing else: plain
// maps, looked through from end to end.
type reference struct {
	shards map[int][]driver.Commit
	cells  map[string]driver.Cell
}

func newReference() *reference {
	return &reference{shards: make(map[int][]driver.Commit), cells: make(map[string]driver.Cell)}
}

func (r *reference) tail(shard int) driver.Revision { return driver.Revision(len(r.shards[shard])) }

// refusals returns every reason to refuse w.
func (r *reference) refusals(w driver.Write) (tails []driver.TailError, cells []driver.CellError) {
	for _, b := range w.Batches {
		if t := r.tail(b.Shard); t != b.First-1 {
			tails = append(tails, driver.TailError{Shard: b.Shard, Tail: t})
		}
	}
	for _, op := range w.Cells {
		if v := r.cells[op.Cell.Key].Version; op.If != nil && *op.If != v {
			cells = append(cells, driver.CellError{Key: op.Cell.Key, Version: v})
		}
	}
	return tails, cells
}

func (r *reference) apply(w driver.Write) {
	for _, b := range w.Batches {
		r.shards[b.Shard] = append(r.shards[b.Shard], b.Commits...)
	}
	for _, op := range w.Cells {
		switch op.Op {
		case driver.Put:
			r.cells[op.Cell.Key] = op.Cell
		case driver.Delete:
			delete(r.cells, op.Cell.Key)
		}
	}
}

func (r *reference) read(shard int, rng driver.Range) []row {
	return rows(within(r.shards[shard], rng, func(c driver.Commit) uint64 { return uint64(c.Revision) }))
}

func (r *reference) find(shard int, key string, rng driver.Range) []row {
	var places []place
	for _, c := range r.shards[shard] {
		for _, k := range c.Keys {
			if k.Name == key {
				places = append(places, place{k.Pos, rows([]driver.Commit{c})[0]})
			}
		}
	}
	return placesIn(places, rng)
}

// last returns the last position of each key of a shard.
func (r *reference) last(shard int) map[string]uint64 {
	last := make(map[string]uint64)
	for _, c := range r.shards[shard] {
		for _, k := range c.Keys {
			last[k.Name] = k.Pos
		}
	}
	return last
}

func (r *reference) keys(shard int, prefix, after string) []driver.Key {
	var keys []driver.Key
	last := r.last(shard)
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if strings.HasPrefix(name, prefix) && name > after {
			keys = append(keys, driver.Key{Name: name, Pos: last[name]})
		}
	}
	return keys
}

func (r *reference) cellsIn(from, to string, limit int) []driver.Cell {
	var cells []driver.Cell
	for _, key := range slices.Sorted(maps.Keys(r.cells)) {
		if key >= from && (to == "" || key < to) && (limit == 0 || len(cells) < limit) {
			cells = append(cells, r.cells[key])
		}
	}
	return cells
}
