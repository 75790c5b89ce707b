package drivertest

import (
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var cellPromises = []promise{
	{"CellPut", "Put stores value and version, over whatever was there when If is nil.", testCellPut},
	{"CellConditions", "If is the version that the cell must have now, 0 to be absent; nil is any. Check changes nothing.", testCellConditions},
	{"CellDelete", "Delete removes the cell; one that is absent may be deleted when the condition allows it.", testCellDelete},
	{"CellsRange", "Cells yields the cells with from ≤ key < to in bytewise order, at most limit of them if limit > 0.", testCellsRange},
	{"CellsMany", "Cells has no hidden limit.", testCellsMany},
	{"CellsApart", "Cells and index keys of the same name have nothing to do with each other.", testCellsApart},
}

func cell(key, value string, version uint64) driver.Cell {
	return driver.Cell{Key: key, Value: []byte(value), Version: version}
}

func cellsOf(t *testing.T, log driver.Log) []driver.Cell {
	t.Helper()
	return collect(t, log.Cells(t.Context(), "", "", 0))
}

func testCellPut(t *testing.T, log driver.Log) {
	const big = 1 << 62 // as a clock in nanoseconds, and beyond
	writeCells(t, log, put("a", "1", 1), put("b", "", big))
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("a", "1", 1), cell("b", "", big)})
	writeCells(t, log, put("a", "22", 2))
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("a", "22", 2), cell("b", "", big)})
	writeCells(t, log, when(2, put("a", "", 3)), when(big, put("b", "3", big+1)))
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("a", "", 3), cell("b", "3", big+1)})
}

func testCellConditions(t *testing.T, log driver.Log) {
	writeCells(t, log, when(0, put("a", "1", 10)), when(0, check("b")), check("c"))
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("a", "1", 10)})
	writeCells(t, log, when(10, check("a")), when(0, put("b", "1", 11)))
	writeCells(t, log, check("a"), when(11, put("b", "2", 12)), put("c", "1", 12))
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("a", "1", 10), cell("b", "2", 12), cell("c", "1", 12)})

	otherVersion(t, refused(t, log, request(nil, when(11, put("b", "3", 13)))), "b", 12)
	otherVersion(t, refused(t, log, request(nil, when(0, put("b", "3", 13)))), "b", 12)
	otherVersion(t, refused(t, log, request(nil, when(7, check("d")))), "d", 0)
}

func testCellDelete(t *testing.T, log driver.Log) {
	writeCells(t, log, put("a", "1", 1), put("b", "1", 1), put("c", "1", 1))
	writeCells(t, log, when(1, remove("a")), remove("b"), remove("absent"), when(0, remove("absent too")))
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("c", "1", 1)})
	otherVersion(t, refused(t, log, request(nil, when(1, remove("a")))), "a", 0)
	writeCells(t, log, when(0, put("a", "again", 2)))
	otherVersion(t, refused(t, log, request(nil, when(1, put("a", "by an old holder", 3)))), "a", 2)
	equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("a", "again", 2), cell("c", "1", 1)})
}

func testCellsRange(t *testing.T, log driver.Log) {
	keys := []string{"A", "a", "a ", "a/b", "aa", "ab", "b", "ä", "語"} // bytewise
	var ops []driver.CellOp
	for i := range keys {
		ops = append(ops, put(keys[(i*4)%len(keys)], "v", 1))
	}
	writeCells(t, log, ops...)
	// Bounds need not be names that exist. key+"\x00" is the first name that
	// could stand behind key.
	bounds := append([]string{"", "Z", "a\x00", "a/", "zz", "\U0010ffff"}, keys...)
	for _, from := range bounds {
		for _, to := range bounds {
			for _, limit := range []int{0, 1, 3, 100} {
				var want []string
				for _, k := range keys {
					if k >= from && (to == "" || k < to) && (limit == 0 || len(want) < limit) {
						want = append(want, k)
					}
				}
				var got []string
				for _, c := range collect(t, log.Cells(t.Context(), from, to, limit)) {
					got = append(got, c.Key)
				}
				equal(t, fmt.Sprintf("Cells(%q, %q, %d)", from, to, limit), got, want)
			}
		}
	}
}

func testCellsMany(t *testing.T, log driver.Log) {
	const n, perWrite = 3000, 250
	value := []byte(long(100, "v"))
	for done := 0; done < n; done += perWrite {
		var ops []driver.CellOp
		for i := range perWrite {
			ops = append(ops, put(fmt.Sprintf("%04d", done+i), string(value), 1))
		}
		writeCells(t, log, ops...)
	}
	var want []driver.Cell
	for i := range n {
		want = append(want, driver.Cell{Key: fmt.Sprintf("%04d", i), Value: value, Version: 1})
	}
	equal(t, "cells", cellsOf(t, log), want)
	equal(t, "cells within a limit", collect(t, log.Cells(t.Context(), "0500", "", 1500)), want[500:2000])
}

func testCellsApart(t *testing.T, log driver.Log) {
	write(t, log, keyed(0, 1, "a", driver.Key{Name: "same", Pos: 3}))
	writeCells(t, log, when(0, put("same", "1", 9)))
	writeCells(t, log, remove("same"))
	equal(t, "cells", cellsOf(t, log), []driver.Cell(nil))
	equal(t, "keys", look(t, log, 0).Keys[0], []driver.Key{{Name: "same", Pos: 3}})
}
