package drivertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var namePromises = []promise{
	{"NamesOfKeys", "Names of keys never collide, whatever they look like: each finds its own commits, and only those.", testNamesOfKeys},
	{"NamesOfCells", "Names of cells never collide, whatever they look like.", testNamesOfCells},
	{"NamesAcrossShards", "The number of a shard and the name of a key are never taken for one another.", testNamesAcrossShards},
	{"NamesLong", "A name may be MaxName bytes long when escaped; names that differ in the last byte differ.", testNamesLong},
}

// hostile are names that a careless encoding confuses: with one another, with
// its separators, numbers and escapes, with its reserved words, or in order.
var hostile = []string{
	"a", "A", "a/", "a//", "/a", "/", "//", "a/b", "a|b", "a|", "|", "|a", "a@", "a@5", "a@50", "a@05", "@", "@5", "@a",
	"#", "##", "a#", "a#@1", "#@1", "%", "%%", "%2F", "a%2F", "a%2Fb", "a%", "a%7C", "%00", "%25", "a%2f",
	" ", "  ", " a", "a ", "a b", "a  b", "\t", "\n", "a\n", "a\r\nb", "\x01", "\x01a", "\x02", "\x7f", "a\x7f", "a\x01", "a\x01b",
	"0", "00", "1", "01", "10", "2", "00000000000000000001", "18446744073709551615", "-1", "1.5", "1e3",
	"a1", "a10", "a2", "a/1", "a/10", "a/2", "k/0/a/1", "c/0/1", "x/a", "c", "k", "x", "0/1", "0|a@1", "0|#@1",
	"ä", "a\u0308", "é", "語", "ß", "ss", "\u00a0", "\u2028", "\u200b", "\ufeff", "\ufffd", "\uff5e", "\U00010000", "\U0001F600", "\U0010ffff",
	".", "..", "...", "__a__", "__key__", "__", "_", "*", "?", "[", "\\", "\\\\", "'", "\"", "`", "$", "${x}", "{}", "{a}", "<", ">", "&", "&amp;", "=", "+",
	",", ";", ":", "a:b", "!", "~", "^", "null", "NULL", "true", "\\x00", "\\u0000", "--", "';--", "%s", "%!d(MISSING)",
}

func testNamesOfKeys(t *testing.T, log driver.Log) {
	names := slices.Sorted(slices.Values(hostile))
	want := make(map[string][]row)
	var keys []driver.Key
	// Each name in a commit of its own, then all in one commit, far behind.
	var alone driver.Batch
	alone.First = 1
	together := driver.Commit{Revision: driver.Revision(len(names) + 1), Data: []byte("together")}
	for i, name := range names {
		rev := driver.Revision(i + 1)
		alone.Commits = append(alone.Commits, driver.Commit{
			Revision: rev, Data: []byte(name), Keys: []driver.Key{{Name: name, Pos: 5}},
		})
		together.Keys = append(together.Keys, driver.Key{Name: name, Pos: 50 + uint64(i)})
		want[name] = []row{{rev, name}, {together.Revision, "together"}}
		keys = append(keys, driver.Key{Name: name, Pos: 50 + uint64(i)})
	}
	write(t, log, alone)
	write(t, log, driver.Batch{First: together.Revision, Commits: []driver.Commit{together}})

	equal(t, "keys", collect(t, log.Keys(t.Context(), 0, "", "")), keys)
	for i, name := range names {
		find := func(r driver.Range) []row { return rows(collect(t, log.Find(t.Context(), 0, name, r))) }
		equal(t, fmt.Sprintf("commits with %q", name), find(driver.Range{}), want[name])
		equal(t, fmt.Sprintf("commits with %q before 50", name), find(driver.Range{To: 50}), want[name][:1])
		equal(t, fmt.Sprintf("last commit with %q", name), find(driver.Range{Backward: true, Limit: 1}), want[name][1:])
		own := collect(t, log.Keys(t.Context(), 0, name, ""))
		if len(own) == 0 || own[0] != keys[i] {
			t.Errorf("Keys with prefix %q begin with %.1v, expected the name itself", name, own)
		}
	}
}

func testNamesOfCells(t *testing.T, log driver.Log) {
	var ops []driver.CellOp
	var want []driver.Cell
	for i, name := range slices.Sorted(slices.Values(hostile)) {
		ops = append(ops, when(0, put(name, name, uint64(i+1))))
		want = append(want, cell(name, name, uint64(i+1)))
	}
	writeCells(t, log, ops...)
	equal(t, "cells", cellsOf(t, log), want)
	for i, c := range want {
		equal(t, fmt.Sprintf("the cell %q", c.Key), collect(t, log.Cells(t.Context(), c.Key, c.Key+"\x01", 1)), want[i:i+1])
	}
	for i := range ops {
		ops[i] = when(uint64(i+1), remove(ops[i].Cell.Key))
	}
	writeCells(t, log, ops[:len(ops)/2]...)
	equal(t, "cells after half were deleted", cellsOf(t, log), want[len(ops)/2:])
}

func testNamesAcrossShards(t *testing.T, log driver.Log) {
	shards := []int{0, 1, 11, 111, 12}
	names := []string{"1", "11", "1/1", "1|1", "1/a", "/1/a", "|1|a", "2", "a", "1/00000000000000000001"}
	for i, shard := range shards {
		var keys []driver.Key
		for j, name := range names {
			keys = append(keys, driver.Key{Name: name, Pos: uint64(10*i + j + 1)})
		}
		write(t, log, keyed(shard, 1, fmt.Sprint(shard), keys...))
	}
	for i, shard := range shards {
		s := look(t, log, shard)
		equal(t, "tail", s.Tails[shard], driver.Revision(1))
		equal(t, "number of keys", len(s.Keys[shard]), len(names))
		for j, name := range names {
			equal(t, "found", s.Found[fmt.Sprintf("%d %q", shard, name)], []row{{1, fmt.Sprint(shard)}})
			at := driver.Range{From: uint64(10*i + j + 1), To: uint64(10*i + j + 2)}
			equal(t, "at its position", rows(collect(t, log.Find(t.Context(), shard, name, at))), []row{{1, fmt.Sprint(shard)}})
		}
	}
}

func testNamesLong(t *testing.T, log driver.Log) {
	slashes := driver.MaxName / len(driver.Escape("/"))
	names := []string{
		long(driver.MaxName-1, "x") + "a", long(driver.MaxName-1, "x") + "b", long(driver.MaxName-1, "x"),
		long(slashes, "/"), long(slashes-1, "/") + "|", long(driver.MaxName/3, "語"),
	}
	var keys []driver.Key
	var ops []driver.CellOp
	for _, name := range names {
		keys = append(keys, driver.Key{Name: name, Pos: 1 << 40})
		ops = append(ops, put(name, "v", 1))
	}
	write(t, log, keyed(0, 1, "long", keys...))
	writeCells(t, log, ops...)
	slices.SortFunc(keys, func(a, b driver.Key) int { return strings.Compare(a.Name, b.Name) })
	equal(t, "keys", collect(t, log.Keys(t.Context(), 0, "", "")), keys)
	var cells []string
	for _, c := range cellsOf(t, log) {
		cells = append(cells, c.Key)
	}
	for i, k := range keys {
		names[i] = k.Name
	}
	equal(t, "names of cells", cells, names)
	for _, name := range names {
		equal(t, "found", rows(collect(t, log.Find(t.Context(), 0, name, driver.Range{}))), []row{{1, "long"}})
	}
}
