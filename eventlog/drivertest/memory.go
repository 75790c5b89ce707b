package drivertest

import (
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var memoryPromises = []promise{
	{"MemoryOfWriter", "The memory of a Write is its caller's again when Write returns.", testMemoryOfWriter},
	{"MemoryOfReader", "What a read yields is the reader's own: it may change it, and the driver never does.", testMemoryOfReader},
}

func testMemoryOfWriter(t *testing.T, log driver.Log) {
	data, value := []byte("data"), []byte("value")
	keys := []driver.Key{{Name: "k", Pos: 7}, {Name: "l", Pos: 8}}
	w := request([]driver.Batch{{Shard: 1, First: 1, Commits: []driver.Commit{{Revision: 1, Data: data, Keys: keys}}}},
		when(0, driver.CellOp{Op: driver.Put, Cell: driver.Cell{Key: "x", Value: value, Version: 3}}))
	if err := log.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	before := look(t, log, 1, 2)
	copy(data, "XXXX")
	copy(value, "XXXXX")
	keys[0], keys[1] = driver.Key{Name: "m", Pos: 1}, driver.Key{Name: "k", Pos: 2}
	w.Batches[0].Commits[0] = driver.Commit{Revision: 9}
	w.Batches[0].Shard = 2
	w.Cells[0].Cell.Version = 99
	*w.Cells[0].If = 98
	w.ID = [16]byte{}
	equal(t, "state", look(t, log, 1, 2), before)
	equal(t, "commits", before.Rows[1], []row{{1, "data"}})
	equal(t, "cells", before.Cells, []driver.Cell{cell("x", "value", 3)})
}

func testMemoryOfReader(t *testing.T, log driver.Log) {
	iterable(t, log)
	before := look(t, log, 0)
	scribble := func(b []byte) {
		b = b[:cap(b)]
		for i := range b {
			b[i] = 'X'
		}
	}
	reads := [][]driver.Commit{
		collect(t, log.Read(t.Context(), 0, driver.Range{})),
		collect(t, log.Read(t.Context(), 0, driver.Range{Backward: true})),
		collect(t, log.Find(t.Context(), 0, "all", driver.Range{})),
	}
	for _, commits := range reads {
		for _, c := range commits {
			if want := text(c.Revision); c.Revision <= iterated && string(c.Data) != want {
				t.Errorf("%q was kept of revision %d, expected %q", c.Data, c.Revision, want)
			}
		}
	}
	for _, commits := range reads {
		for _, c := range commits {
			scribble(c.Data)
		}
	}
	cells := cellsOf(t, log)
	for i, c := range cells {
		equal(t, "what was kept of Cells", c, cell(fmt.Sprintf("cell/%02d", i), fmt.Sprint("value ", i), 1))
	}
	for _, c := range cells {
		scribble(c.Value)
	}
	equal(t, "state", look(t, log, 0), before)

	// Inside the iteration: what comes next is not affected.
	for c, err := range log.Read(t.Context(), 0, driver.Range{To: iterated + 1}) {
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "data", string(c.Data), text(c.Revision))
		scribble(c.Data)
	}
}
