package drivertest

import (
	"context"
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var refusalPromises = []promise{
	{"RefusePlaceTaken", "A batch whose place is taken is refused with a TailError that names shard and tail; nothing is written.", testRefusePlaceTaken},
	{"RefuseGap", "A batch that would leave a gap is refused with a TailError; nothing is written.", testRefuseGap},
	{"RefuseOneOfSeveral", "When the place of any shard is taken, whichever it is, nothing of the Write happens in any other.", testRefuseOneOfSeveral},
	{"RefuseRepeated", "A Write that was applied is, when repeated, refused like any other that comes too late.", testRefuseRepeated},
	{"RefuseByCell", "When the condition of a cell does not hold, no commit and no other cell is written.", testRefuseByCell},
	{"RefuseCellsByTail", "When a place is taken, no cell is written.", testRefuseCellsByTail},
	{"RefuseMalformed", "A Write that contradicts itself is refused by all drivers alike; nothing is written.", testRefuseMalformed},
	{"RefuseCancelled", "When ctx is done, a Write that does not say ErrUnknown has either succeeded or written nothing.", testRefuseCancelled},
	{"RefuseThenAccept", "A refused Write stands in nobody's way: the same place takes the next one.", testRefuseThenAccept},
}

func testRefusePlaceTaken(t *testing.T, log driver.Log) {
	behindOf := func(first driver.Revision, tail driver.Revision) {
		t.Helper()
		behind(t, refused(t, log, request([]driver.Batch{batch(4, first, "late")}), 4), 4, tail)
	}
	write(t, log, batch(4, 1, "a"))
	behindOf(1, 1)
	write(t, log, batch(4, 2, "b", "c"))
	behindOf(1, 3)
	behindOf(2, 3) // inside what was written together
	behindOf(3, 3)
	behind(t, refused(t, log, request([]driver.Batch{batch(4, 3, "over", "the", "end")}), 4), 4, 3)
}

func testRefuseGap(t *testing.T, log driver.Log) {
	behind(t, refused(t, log, request([]driver.Batch{batch(0, 2, "gap")}), 0), 0, 0)
	write(t, log, batch(0, 1, "a"))
	behind(t, refused(t, log, request([]driver.Batch{batch(0, 3, "gap")}), 0), 0, 1)
	behind(t, refused(t, log, request([]driver.Batch{batch(0, 1<<40, "far")}), 0), 0, 1)
	write(t, log, batch(0, 2, "b"))
}

func testRefuseOneOfSeveral(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"), batch(1, 1, "a"), batch(2, 1, "a"))
	write(t, log, batch(1, 2, "b"))
	for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {0, 2, 1}} {
		var batches []driver.Batch
		for _, shard := range order {
			batches = append(batches, keyed(shard, 2, "lost", driver.Key{Name: "lost", Pos: 2}))
		}
		behind(t, refused(t, log, request(batches, put("lost", "", 1)), 0, 1, 2), 1, 2)
	}
}

func testRefuseRepeated(t *testing.T, log driver.Log) {
	w := request([]driver.Batch{batch(0, 1, "a"), batch(1, 1, "b")}, when(0, put("x", "", 1)))
	if err := log.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	var e *driver.TailError
	if err := refused(t, log, w, 0, 1); !errors.As(err, &e) || e.Tail != 1 {
		t.Errorf("refused with %v, expected a *driver.TailError with tail 1", err)
	}
	one := request([]driver.Batch{batch(0, 2, "c")})
	if err := log.Write(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	behind(t, refused(t, log, one, 0), 0, 2)
	write(t, log, batch(0, 3, "d"))
	behind(t, refused(t, log, one, 0), 0, 3)
}

func testRefuseByCell(t *testing.T, log driver.Log) {
	writeCells(t, log, put("have", "old", 5))
	for _, bad := range []struct {
		op      driver.CellOp
		version uint64
	}{
		{when(0, check("have")), 5},
		{when(4, check("have")), 5},
		{when(6, check("have")), 5},
		{when(0, put("have", "new", 9)), 5},
		{when(4, put("have", "new", 9)), 5},
		{when(4, remove("have")), 5},
		{when(0, remove("have")), 5},
		{when(1, check("lack")), 0},
		{when(1, put("lack", "new", 9)), 0},
		{when(1, remove("lack")), 0},
	} {
		w := request([]driver.Batch{batch(0, 1, "a"), batch(1, 1, "b")},
			put("before", "", 1), bad.op, put("behind", "", 1))
		otherVersion(t, refused(t, log, w, 0, 1), bad.op.Cell.Key, bad.version)
		w.Batches = nil
		otherVersion(t, refused(t, log, w, 0, 1), bad.op.Cell.Key, bad.version)
	}
}

func testRefuseCellsByTail(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"))
	writeCells(t, log, put("x", "1", 1), put("y", "1", 1))
	w := request([]driver.Batch{batch(0, 1, "late")}, when(1, put("x", "2", 2)), remove("y"), put("z", "2", 2))
	behind(t, refused(t, log, w, 0), 0, 1)
	w.Batches = []driver.Batch{batch(0, 1)} // only a check
	behind(t, refused(t, log, w, 0), 0, 1)
}

func testRefuseMalformed(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"))
	writeCells(t, log, put("x", "1", 5))
	wrongRevision := batch(1, 1, "a", "b")
	wrongRevision.Commits[1].Revision = 3
	for name, w := range map[string]driver.Write{
		"shard twice":              request([]driver.Batch{batch(0, 2, "b"), batch(0, 3, "c")}),
		"shard twice, one a check": request([]driver.Batch{batch(0, 2, "b"), batch(0, 2)}),
		"negative shard":           request([]driver.Batch{batch(0, 2, "b"), batch(-1, 1, "b")}),
		"first revision 0":         request([]driver.Batch{batch(0, 2, "b"), batch(1, 0)}),
		"wrong revision":           request([]driver.Batch{batch(0, 2, "b"), wrongRevision}),
		"cell twice":               request([]driver.Batch{batch(0, 2, "b")}, put("y", "", 1), remove("y")),
		"put of version 0":         request([]driver.Batch{batch(0, 2, "b")}, put("y", "", 0)),
		"version does not rise":    request([]driver.Batch{batch(0, 2, "b")}, when(5, put("x", "", 5))),
		"unknown op":               request([]driver.Batch{batch(0, 2, "b")}, driver.CellOp{Op: 9, Cell: driver.Cell{Key: "x"}}),
	} {
		err := refused(t, log, w, 0, 1)
		var tail *driver.TailError
		var cell *driver.CellError
		if errors.As(err, &tail) || errors.As(err, &cell) {
			t.Errorf("%s: refused with %v, as if it could succeed another time", name, err)
		}
	}
}

func testRefuseCancelled(t *testing.T, log driver.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		before := look(t, log, 0)
		next := before.Tails[0] + 1
		w := request([]driver.Batch{batch(0, next, text(next))})
		err := log.Write(ctx, w)
		if errors.Is(err, driver.ErrUnknown) {
			if _, err := won(t.Context(), log, w); err != nil {
				t.Fatal(err)
			}
			continue
		}
		after := look(t, log, 0)
		if err == nil {
			equal(t, "tail after a write that succeeded", after.Tails[0], next)
			continue
		}
		equal(t, "state after a write that failed", after, before)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("failed with %v, expected ctx's error", err)
		}
	}
}

func testRefuseThenAccept(t *testing.T, log driver.Log) {
	writeCells(t, log, put("x", "1", 1))
	refused(t, log, request([]driver.Batch{batch(0, 1, "lost"), batch(1, 2, "gap")}), 0, 1)
	refused(t, log, request([]driver.Batch{batch(0, 1, "lost")}, when(9, put("x", "lost", 10))), 0)
	refused(t, log, request([]driver.Batch{batch(0, 1, long(driver.MaxCommit+1, "x"))}), 0)
	write(t, log, batch(0, 1, "a"), batch(1, 1, "b"))
	writeCells(t, log, when(1, put("x", "2", 2)))
	equal(t, "commits", look(t, log, 0, 1).Rows, map[int][]row{0: {{1, "a"}}, 1: {{1, "b"}}})
}
