package drivertest

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var writePromises = []promise{
	{"EmptyStore", "A shard without commits has tail 0, and a new store yields nothing.", testEmptyStore},
	{"WriteBehindTail", "A batch goes directly behind the tail; its commits have the revisions First, First+1 …", testWriteBehindTail},
	{"WriteShards", "A Write over several shards does all of it. Shards have nothing to do with each other, and any number from 0 is one.", testWriteShards},
	{"WriteChecksTail", "A batch without commits checks that First-1 is the tail, and writes nothing.", testWriteChecksTail},
	{"WriteEmptyData", "Data may be empty, and a commit may have no keys.", testWriteEmptyData},
	{"WriteNothing", "A Write of nothing succeeds and changes nothing.", testWriteNothing},
	{"WriteBinary", "Data is opaque: every byte comes back.", testWriteBinary},
	{"WriteCommitsAndCells", "Batches and cells of one Write happen together.", testWriteCommitsAndCells},
}

func testEmptyStore(t *testing.T, log driver.Log) {
	for _, shard := range []int{0, 1, 15, 100_000} {
		s := look(t, log, shard)
		equal(t, "tail", s.Tails[shard], driver.Revision(0))
		equal(t, "commits", s.Rows[shard], []row(nil))
		equal(t, "keys", s.Keys[shard], []driver.Key(nil))
		equal(t, "cells", s.Cells, []driver.Cell(nil))
		equal(t, "found", collect(t, log.Find(t.Context(), shard, "a", driver.Range{})), []driver.Commit(nil))
		back := log.Read(t.Context(), shard, driver.Range{Backward: true, Limit: 1})
		equal(t, "last commit", collect(t, back), []driver.Commit(nil))
	}
}

func testWriteBehindTail(t *testing.T, log driver.Log) {
	write(t, log, batch(3, 1, "a"))
	write(t, log, batch(3, 2, "b", "c", "d"))
	write(t, log, batch(3, 5, "e"))
	s := look(t, log, 3)
	equal(t, "tail", s.Tails[3], driver.Revision(5))
	equal(t, "commits", s.Rows[3], []row{{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}, {5, "e"}})
}

func testWriteShards(t *testing.T, log driver.Log) {
	shards := []int{0, 1, 10, 11, 111, 100_000}
	for round := range 3 {
		var batches []driver.Batch
		for i, shard := range shards {
			if i >= round { // tails differ
				rev := tail(t, log, shard) + 1
				k := driver.Key{Name: "1", Pos: uint64(100*shard + round + 1)}
				batches = append(batches, keyed(shard, rev, text(rev), k))
			}
		}
		write(t, log, batches...)
	}
	for i, shard := range shards {
		n := min(i+1, 3)
		s := look(t, log, shard)
		equal(t, "tail", s.Tails[shard], driver.Revision(n))
		equal(t, "commits", s.Rows[shard], []row{{1, text(1)}, {2, text(2)}, {3, text(3)}}[:n])
		equal(t, "keys", s.Keys[shard], []driver.Key{{Name: "1", Pos: uint64(100*shard + n)}})
	}
}

func testWriteChecksTail(t *testing.T, log driver.Log) {
	write(t, log, batch(1, 1, "a", "b"))
	write(t, log, batch(2, 1, "a"), batch(1, 3), batch(9, 1))
	equal(t, "tail of the written shard", tail(t, log, 2), driver.Revision(1))
	equal(t, "tail of the checked shard", tail(t, log, 1), driver.Revision(2))
	equal(t, "tail of the checked empty shard", tail(t, log, 9), driver.Revision(0))
	write(t, log, batch(1, 3), batch(9, 1)) // checks alone

	behind(t, refused(t, log, request([]driver.Batch{batch(2, 2, "b"), batch(1, 2)}), 1, 2), 1, 2)
	behind(t, refused(t, log, request([]driver.Batch{batch(1, 4), batch(2, 2, "b")}), 1, 2), 1, 2)
	behind(t, refused(t, log, request([]driver.Batch{batch(1, 1)}), 1), 1, 2)
	behind(t, refused(t, log, request([]driver.Batch{batch(9, 2), batch(2, 2, "b")}), 2, 9), 9, 0)
	write(t, log, batch(2, 2, "b"), batch(1, 3)) // nothing stands in the way now
}

func testWriteEmptyData(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, ""))
	write(t, log, driver.Batch{Shard: 0, First: 2, Commits: []driver.Commit{
		{Revision: 2, Keys: []driver.Key{{Name: "k", Pos: 1}}}, {Revision: 3, Keys: []driver.Key{}},
	}})
	equal(t, "commits", look(t, log, 0).Rows[0], []row{{1, ""}, {2, ""}, {3, ""}})
	equal(t, "found", rows(collect(t, log.Find(t.Context(), 0, "k", driver.Range{}))), []row{{2, ""}})
}

func testWriteNothing(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"))
	before := look(t, log, 0)
	write(t, log)
	equal(t, "state", look(t, log, 0), before)
}

func testWriteBinary(t *testing.T, log driver.Log) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	data := []string{"\x00", "\xff\xfe", "", " \r\n", string(all), "{\"json\": true}"}
	write(t, log, batch(0, 1, data...))
	writeCells(t, log, put("binary", string(all), 1), put("zero", "\x00", 1))
	var got []string
	for _, c := range collect(t, log.Read(t.Context(), 0, driver.Range{})) {
		got = append(got, string(c.Data))
	}
	equal(t, "data", got, data)
	equal(t, "cells", collect(t, log.Cells(t.Context(), "", "", 0)), []driver.Cell{
		{Key: "binary", Value: all, Version: 1}, {Key: "zero", Value: []byte{0}, Version: 1},
	})
}

func testWriteCommitsAndCells(t *testing.T, log driver.Log) {
	w := request([]driver.Batch{batch(0, 1, "a"), batch(1, 1, "b")}, put("x", "1", 7), when(0, put("y", "2", 8)))
	if err := log.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	s := look(t, log, 0, 1)
	equal(t, "commits", s.Rows, map[int][]row{0: {{1, "a"}}, 1: {{1, "b"}}})
	equal(t, "cells", s.Cells, []driver.Cell{
		{Key: "x", Value: []byte("1"), Version: 7}, {Key: "y", Value: []byte("2"), Version: 8},
	})
}
