package drivertest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var readPromises = []promise{
	{"ReadRange", "Read yields the commits with From ≤ revision < To in order, To 0 open, at most Limit of them if Limit > 0.", testReadRange},
	{"ReadAll", "Read has no hidden limit, forward or backward: no holes, each once.", testReadAll},
	{"ReadLarge", "Read yields large commits, more than fit into one answer of any store.", testReadLarge},
	{"ReadShard", "Read yields commits of its shard only.", testReadShard},
}

// ranges is every kind of range over positions up to n.
func ranges(n uint64) []driver.Range {
	var list []driver.Range
	points := []uint64{0, 1, 2, n / 2, n, n + 1, n + 5, 1 << 40}
	for _, from := range points {
		for _, to := range points {
			for _, limit := range []int{0, 1, 3} {
				list = append(list,
					driver.Range{From: from, To: to, Limit: limit},
					driver.Range{From: from, To: to, Limit: limit, Backward: true})
			}
		}
	}
	return list
}

// within is what r selects of items in the order of pos, by the definition of
// Range.
func within[T any](items []T, r driver.Range, pos func(T) uint64) []T {
	var list []T
	for _, item := range items {
		if r.Contains(pos(item)) {
			list = append(list, item)
		}
	}
	if r.Backward {
		slices.Reverse(list)
	}
	if r.Limit > 0 && len(list) > r.Limit {
		list = list[:r.Limit]
	}
	return list
}

func revision(r row) uint64 { return uint64(r.Revision) }

func testReadRange(t *testing.T, log driver.Log) {
	const n = 7
	// In groups of several sizes: a store may keep what came together together.
	write(t, log, batch(0, 1, text(1)))
	write(t, log, batch(0, 2, text(2), text(3), text(4), text(5)))
	write(t, log, batch(0, 6, text(6), text(7)))
	var all []row
	for rev := range driver.Revision(n) {
		all = append(all, row{rev + 1, text(rev + 1)})
	}
	for _, r := range ranges(n) {
		got := rows(collect(t, log.Read(t.Context(), 0, r)))
		equal(t, fmt.Sprintf("Read %+v", r), got, within(all, r, revision))
	}
}

func testReadAll(t *testing.T, log driver.Log) {
	const n = 3000
	fill(t, log, 0, n)
	var all []row
	for rev := range driver.Revision(n) {
		all = append(all, row{rev + 1, text(rev + 1)})
	}
	for _, r := range []driver.Range{
		{}, {Backward: true}, {From: 2, To: n}, {From: 2, To: n, Backward: true},
		{Limit: n - 1}, {Limit: n - 1, Backward: true}, {Limit: 2 * n},
	} {
		want := within(all, r, revision)
		equal(t, fmt.Sprintf("Read %+v", r), rows(collect(t, log.Read(t.Context(), 0, r))), want)
		equal(t, fmt.Sprintf("Find %+v", r), rows(collect(t, log.Find(t.Context(), 0, "all", r))), want)
	}
}

func testReadLarge(t *testing.T, log driver.Log) {
	const n = 16 // 8 MB
	var all []row
	for rev := driver.Revision(1); rev <= n; rev += 4 {
		var data []string
		for i := range driver.Revision(4) {
			data = append(data, fmt.Sprint(rev+i)+long(500_000, "x"))
			all = append(all, row{rev + i, short([]byte(data[i]))})
		}
		b := batch(0, rev, data...)
		for i := range b.Commits {
			b.Commits[i].Keys = []driver.Key{{Name: "large", Pos: uint64(rev) + uint64(i)}}
		}
		write(t, log, b)
	}
	for _, r := range []driver.Range{{}, {Backward: true}} {
		want := within(all, r, revision)
		equal(t, fmt.Sprintf("Read %+v", r), rows(collect(t, log.Read(t.Context(), 0, r))), want)
		equal(t, fmt.Sprintf("Find %+v", r), rows(collect(t, log.Find(t.Context(), 0, "large", r))), want)
	}
}

func testReadShard(t *testing.T, log driver.Log) {
	for shard := range 12 {
		write(t, log, batch(shard, 1, fmt.Sprint("first of ", shard), fmt.Sprint("second of ", shard)))
	}
	for shard := range 12 {
		equal(t, "commits", look(t, log, shard).Rows[shard],
			[]row{{1, fmt.Sprint("first of ", shard)}, {2, fmt.Sprint("second of ", shard)}})
	}
}
