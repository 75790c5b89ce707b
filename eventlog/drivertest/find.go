package drivertest

import (
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var findPromises = []promise{
	{"FindRange", "Find yields the commits that carry the key at a position in the range, in the order of the positions.", testFindRange},
	{"FindEachOnce", "Find yields a commit once, however many keys it carries and however many commits came with it.", testFindEachOnce},
	{"FindKey", "Find yields commits of its shard and its key only.", testFindKey},
	{"FindManyKeys", "Every one of a commit's many keys finds it.", testFindManyKeys},
}

// A place is a commit with the position of a key in it.
type place struct {
	pos uint64
	row row
}

func placesIn(places []place, r driver.Range) []row {
	var list []row
	for _, p := range within(places, r, func(p place) uint64 { return p.pos }) {
		list = append(list, p.row)
	}
	return list
}

// layout writes commits whose key "k" has positions that differ from their
// revisions, alone and in groups, between others that lack it.
func layout(t *testing.T, log driver.Log, shard int) []place {
	t.Helper()
	var places []place
	rev, pos := driver.Revision(1), uint64(0)
	for group, size := range []int{1, 4, 1, 3, 2} {
		b := driver.Batch{Shard: shard, First: rev}
		for i := range size {
			c := driver.Commit{Revision: rev, Data: []byte(text(rev))}
			c.Keys = []driver.Key{{Name: fmt.Sprint("other", i%2), Pos: uint64(rev)}}
			if (group+i)%3 != 1 {
				pos += 1 + uint64(i)*2
				c.Keys = append(c.Keys, driver.Key{Name: "k", Pos: pos})
				places = append(places, place{pos, row{rev, text(rev)}})
			}
			b.Commits = append(b.Commits, c)
			rev++
		}
		write(t, log, b)
	}
	return places
}

func testFindRange(t *testing.T, log driver.Log) {
	places := layout(t, log, 0)
	last := places[len(places)-1].pos
	list := ranges(last)
	for _, p := range places {
		list = append(list, driver.Range{From: p.pos}, driver.Range{To: p.pos}, driver.Range{From: p.pos, To: p.pos + 1},
			driver.Range{From: p.pos + 1}, driver.Range{To: p.pos + 1, Backward: true, Limit: 1})
	}
	for _, r := range list {
		got := rows(collect(t, log.Find(t.Context(), 0, "k", r)))
		equal(t, fmt.Sprintf("Find %+v", r), got, placesIn(places, r))
	}
}

func testFindEachOnce(t *testing.T, log driver.Log) {
	const commits, keys = 40, 30
	b := driver.Batch{First: 1}
	for rev := driver.Revision(1); rev <= commits; rev++ {
		c := driver.Commit{Revision: rev, Data: []byte(text(rev))}
		for k := range keys {
			c.Keys = append(c.Keys, driver.Key{Name: fmt.Sprint("k", k), Pos: uint64(rev)*100 + uint64(k)})
		}
		b.Commits = append(b.Commits, c)
	}
	write(t, log, b)
	want := look(t, log, 0).Rows[0]
	for k := range keys {
		got := rows(collect(t, log.Find(t.Context(), 0, fmt.Sprint("k", k), driver.Range{})))
		equal(t, fmt.Sprint("commits with key k", k), got, want)
	}
	part := driver.Range{From: 1000, To: 2000, Limit: 5, Backward: true}
	got := rows(collect(t, log.Find(t.Context(), 0, "k7", part)))
	equal(t, "Find in the middle of a group", got,
		[]row{{19, text(19)}, {18, text(18)}, {17, text(17)}, {16, text(16)}, {15, text(15)}})
}

func testFindKey(t *testing.T, log driver.Log) {
	write(t, log, keyed(1, 1, "one", driver.Key{Name: "k", Pos: 1}), keyed(2, 1, "two", driver.Key{Name: "k", Pos: 1}))
	write(t, log, keyed(1, 2, "other", driver.Key{Name: "l", Pos: 2}))
	write(t, log, batch(1, 3, "none"))
	for _, c := range []struct {
		shard int
		key   string
		want  []row
	}{
		{1, "k", []row{{1, "one"}}}, {2, "k", []row{{1, "two"}}}, {1, "l", []row{{2, "other"}}},
		{2, "l", nil}, {3, "k", nil}, {11, "k", nil}, {1, "K", nil}, {1, "k ", nil}, {1, "kk", nil},
	} {
		got := rows(collect(t, log.Find(t.Context(), c.shard, c.key, driver.Range{})))
		equal(t, fmt.Sprintf("Find in shard %d of %q", c.shard, c.key), got, c.want)
	}
}

func testFindManyKeys(t *testing.T, log driver.Log) {
	c := driver.Commit{Revision: 1, Data: []byte("wide")}
	for i := range driver.MaxCommitKeys {
		c.Keys = append(c.Keys, driver.Key{Name: fmt.Sprintf("key %04d", i), Pos: uint64(i) + 1})
	}
	write(t, log, driver.Batch{First: 1, Commits: []driver.Commit{c}})
	write(t, log, batch(0, 2, "behind"))
	equal(t, "keys", collect(t, log.Keys(t.Context(), 0, "", "")), c.Keys)
	for i := 0; i < len(c.Keys); i += 500 {
		k := c.Keys[i]
		at := driver.Range{From: k.Pos, To: k.Pos + 1}
		equal(t, "commits with "+k.Name, rows(collect(t, log.Find(t.Context(), 0, k.Name, at))), []row{{1, "wide"}})
	}
}
