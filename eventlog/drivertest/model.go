package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Model compares a store with plain maps under random Writes, good and bad, and
// random reads. Run calls it; alone it takes rapid's flags (-rapid.checks,
// -rapid.seed) to search longer or to repeat a failure. All rounds use one
// store, each with shards and cells of its own.
func Model(t *testing.T, open func(t *testing.T) driver.Log) {
	t.Helper()
	holds(t, "Every sequence of Writes and reads has the outcome that the contract describes.")
	log := open(t)
	t.Cleanup(func() { _ = log.Close() })
	var rounds atomic.Int32
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{
			log: log, model: newReference(), version: 1,
			first: int(rounds.Add(1)) * shardsOfModel, prefix: fmt.Sprintf("model %d/", rounds.Load()),
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write": m.write, "write more": m.write, "write again": m.writeAgain, // all names are drawn alike
			"read": m.read, "find": m.find, "keys": m.keys, "cells": m.cells,
			"": m.tails,
		})
		m.everything(rt)
	})
}

const shardsOfModel = 3

// A machine drives a store and its model side by side.
type machine struct {
	log     driver.Log
	model   *reference
	first   int            // of its shards
	prefix  string         // of its cells
	version uint64         // of the last cell that was written
	written []driver.Write // some that were applied
}

var (
	keyNames  = []string{"a", "a/", "a/1", "a/10", "a|b", "a@5", "b", "#", "%", "%2F", " ", "é", "10", "\x01t1"}
	cellNames = []string{"a", "a/1", "a/10", "b|", "#", "é", "0"}
)

func (m *machine) shard(t *rapid.T) int {
	return m.first + rapid.IntRange(0, shardsOfModel-1).Draw(t, "shard")
}

func (m *machine) write(t *rapid.T) {
	w := request(nil)
	for shard := range shardsOfModel {
		if rapid.Bool().Draw(t, "has shard") {
			w.Batches = append(w.Batches, m.batch(t, m.first+shard))
		}
	}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(cellNames), 0, 3, rapid.ID).Draw(t, "cells")
	for _, name := range names {
		w.Cells = append(w.Cells, m.cellOp(t, m.prefix+name))
	}
	m.try(t, w)
}

// batch is mostly one that fits behind the tail.
func (m *machine) batch(t *rapid.T, shard int) driver.Batch {
	tail := m.model.tail(shard)
	first := tail + 1
	if rapid.IntRange(0, 9).Draw(t, "place") == 0 {
		first = driver.Revision(rapid.Uint64Range(0, uint64(tail)+3).Draw(t, "first")) // 0 is malformed
	}
	b := driver.Batch{Shard: shard, First: first}
	last := m.model.last(shard)
	for i := range rapid.IntRange(0, 3).Draw(t, "commits") {
		c := driver.Commit{Revision: first + driver.Revision(i)}
		c.Data = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "data")
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(keyNames), 0, 3, rapid.ID).Draw(t, "keys") {
			last[name] += rapid.Uint64Range(1, 12).Draw(t, "step")
			c.Keys = append(c.Keys, driver.Key{Name: name, Pos: last[name]})
		}
		b.Commits = append(b.Commits, c)
	}
	return b
}

// cellOp is mostly one whose condition holds.
func (m *machine) cellOp(t *rapid.T, key string) driver.CellOp {
	m.version++
	op := driver.CellOp{Op: driver.Op(rapid.IntRange(0, 2).Draw(t, "op")), Cell: driver.Cell{Key: key}}
	if op.Op == driver.Put {
		op.Cell.Version = m.version
		op.Cell.Value = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "value")
	}
	now := m.model.cells[key].Version
	switch rapid.IntRange(0, 9).Draw(t, "if") {
	case 0, 1:
		return when(rapid.SampledFrom([]uint64{0, now / 2, now + 1, m.version - 1}).Draw(t, "version"), op)
	case 2, 3, 4:
		return op
	}
	return when(now, op)
}

// writeAgain repeats a Write that was applied, which then comes too late.
func (m *machine) writeAgain(t *rapid.T) {
	if len(m.written) == 0 {
		t.Skip("nothing written")
	}
	m.try(t, rapid.SampledFrom(m.written).Draw(t, "written"))
}

// try writes w and checks the answer.
func (m *machine) try(t *rapid.T, w driver.Write) {
	err := m.log.Write(t.Context(), w)
	tails, cells := m.model.refusals(w)
	malformed := w.Validate() != nil
	var tail *driver.TailError
	var cell *driver.CellError
	switch {
	case err == nil && !malformed && len(tails)+len(cells) == 0:
		m.model.apply(w)
		if slices.ContainsFunc(w.Batches, func(b driver.Batch) bool { return len(b.Commits) > 0 }) {
			m.written = append(m.written, w)
		}
	case err == nil:
		t.Fatalf("%+v succeeded; malformed %v, tails in the way %v, cells %v", w, malformed, tails, cells)
	case errors.As(err, &tail) && !malformed && slices.ContainsFunc(tails, func(o driver.TailError) bool { return o.Shard == tail.Shard && o.Tail == tail.Tail }):
		if err := rightNews(t.Context(), m.log, w, err); err != nil {
			t.Fatalf("the news of a refusal: %v", err)
		}
	case errors.As(err, &cell) && !malformed && slices.Contains(cells, *cell):
	case malformed && tail == nil && cell == nil && !errors.Is(err, driver.ErrUnknown):
	default:
		t.Fatalf("%+v: %v; malformed %v, tails in the way %v, cells %v", w, err, malformed, tails, cells)
	}
}

func drawRange(t *rapid.T, n uint64) driver.Range {
	return driver.Range{
		From: rapid.Uint64Range(0, n+2).Draw(t, "from"), To: rapid.Uint64Range(0, n+2).Draw(t, "to"),
		Backward: rapid.Bool().Draw(t, "backward"), Limit: rapid.IntRange(0, 4).Draw(t, "limit"),
	}
}

func (m *machine) read(t *rapid.T) {
	shard := m.shard(t)
	r := drawRange(t, uint64(m.model.tail(shard)))
	equal(t, "Read", rows(collect(t, m.log.Read(t.Context(), shard, r))), m.model.read(shard, r))
}

func (m *machine) find(t *rapid.T) {
	shard, key := m.shard(t), rapid.SampledFrom(keyNames).Draw(t, "key")
	r := drawRange(t, m.model.last(shard)[key])
	equal(t, "Find", rows(collect(t, m.log.Find(t.Context(), shard, key, r))), m.model.find(shard, key, r))
}

func (m *machine) keys(t *rapid.T) {
	shard := m.shard(t)
	prefix := rapid.SampledFrom([]string{"", "a", "a/", "a/1", "%", "é", "z"}).Draw(t, "prefix")
	after := rapid.SampledFrom(append([]string{"", "zz"}, keyNames...)).Draw(t, "after")
	equal(t, "Keys", collect(t, m.log.Keys(t.Context(), shard, prefix, after)), m.model.keys(shard, prefix, after))
}

func (m *machine) cells(t *rapid.T) {
	bounds := rapid.SampledFrom(append([]string{"", "a/", "zz"}, cellNames...))
	from, to := m.prefix+bounds.Draw(t, "from"), m.prefix+bounds.Draw(t, "to")
	limit := rapid.IntRange(0, 3).Draw(t, "limit")
	equal(t, "Cells", collect(t, m.log.Cells(t.Context(), from, to, limit)), m.model.cellsIn(from, to, limit))
}

func (m *machine) tails(t *rapid.T) {
	for shard := m.first; shard < m.first+shardsOfModel; shard++ {
		equal(t, fmt.Sprint("tail of shard ", shard), tail(t, m.log, shard), m.model.tail(shard))
	}
}

// everything compares all that a reader can see.
func (m *machine) everything(t *rapid.T) {
	for shard := m.first; shard < m.first+shardsOfModel; shard++ {
		got := look(t, m.log, shard)
		equal(t, "commits", got.Rows[shard], m.model.read(shard, driver.Range{}))
		equal(t, "keys", got.Keys[shard], m.model.keys(shard, "", ""))
		for _, k := range got.Keys[shard] {
			equal(t, "found", got.Found[fmt.Sprintf("%d %q", shard, k.Name)], m.model.find(shard, k.Name, driver.Range{}))
		}
	}
	end := m.prefix + "\U0010ffff"
	equal(t, "cells", collect(t, m.log.Cells(t.Context(), m.prefix, end, 0)), m.model.cellsIn(m.prefix, end, 0))
}
