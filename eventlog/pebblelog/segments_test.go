package pebblelog

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// segmented are shards that end at the edges of one to eight segments, longer
// ones between shorter ones.
var segmented = map[int]driver.Revision{
	0:        segmentLen,         // the first revision of the second segment
	1:        1,                  //
	2:        5*segmentLen + 7,   //
	3:        segmentLen - 1,     // the last one of the first
	4:        2*segmentLen - 1,   //
	5:        4 * segmentLen,     //
	7:        3*segmentLen - 1,   //
	8:        2 * segmentLen,     //
	maxShard: 7*segmentLen + 100, //
}

// TestSegments: where one segment of a shard ends and the next begins, readers
// notice nothing, in either direction, from and up to any revision; and a log
// that is opened again, also after a power cut, knows where every shard ends and
// goes on there.
func TestSegments(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	l := mustOpen(t, &Options{FS: disk, MemTableSize: 1 << 20})
	for shard, tail := range segmented {
		segmentFill(t, l, shard, 1, tail)
	}
	cut := disk.CrashClone(vfs.CrashCloneCfg{})
	for shard, tail := range segmented {
		segmentReads(t, l, shard, tail)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for when, fs := range map[string]vfs.FS{"after Close": disk, "after a power cut": cut} {
		l := mustOpen(t, &Options{FS: fs})
		for shard, tail := range segmented {
			if at, err := l.Tail(t.Context(), shard); at != tail || err != nil {
				t.Errorf("%s shard %d ends at %d, %v, expected %d", when, shard, at, err, tail)
			}
			var refusal *driver.TailError
			err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{segmentBatch(shard, tail, tail)}})
			if !errors.As(err, &refusal) || refusal.Tail != tail {
				t.Errorf("%s shard %d takes revision %d again: %v", when, shard, tail, err)
			}
			segmentFill(t, l, shard, tail+1, tail+3)
			segmentRead(t, l, shard, tail+3, driver.Range{})
			segmentRead(t, l, shard, tail+3, driver.Range{Backward: true})
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHolesBetweenSegments: a commit that is missing at the edge of a segment is
// reported by whoever comes upon it.
func TestHolesBetweenSegments(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, &Options{FS: vfs.NewMem()})
	defer l.Close()
	const tail = 2*segmentLen + 10
	for shard, hole := range []driver.Revision{segmentLen - 1, segmentLen, 2*segmentLen - 1, 2 * segmentLen} {
		segmentFill(t, l, shard, 1, tail)
		if err := l.db.Delete(appendCommitKey(nil, shard, hole), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		for _, backward := range []bool{false, true} {
			seen, err := driver.Revision(0), error(nil)
			for _, err = range l.Read(t.Context(), shard, driver.Range{Backward: backward}) {
				if err == nil {
					seen++
				}
			}
			want := hole - 1
			if backward {
				want = tail - hole
			}
			var damage *driver.CorruptError
			if !errors.As(err, &damage) || damage.Revision != hole || damage.Shard != shard || seen != want {
				t.Errorf("shard %d lacks %d: a reader (backward %t) gets %d commits and %v, expected %d", shard, hole, backward, seen, err, want)
			}
		}
	}
}

// segmentBatch has tiny commits; those at the edges of segments carry a key.
func segmentBatch(shard int, first, last driver.Revision) driver.Batch {
	b := driver.Batch{Shard: shard, First: first}
	for rev := first; rev <= last; rev++ {
		c := driver.Commit{Revision: rev, Data: segmentData(shard, rev)}
		if segmentEdge(rev) {
			c.Keys = []driver.Key{{Name: "edge", Pos: uint64(rev)}}
		}
		b.Commits = append(b.Commits, c)
	}
	return b
}

func segmentData(shard int, rev driver.Revision) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(shard)), uint64(rev))
}

func segmentEdge(rev driver.Revision) bool { return (rev+1)%segmentLen < 3 }

func segmentFill(t *testing.T, l *Log, shard int, first, last driver.Revision) {
	t.Helper()
	for first <= last { // in writes that end in the middle of segments
		end := min(last, first+2*segmentLen+1000)
		mustWrite(t, l, nil, segmentBatch(shard, first, end))
		first = end + 1
	}
}

// segmentReads reads all around the edges.
func segmentReads(t *testing.T, l *Log, shard int, tail driver.Revision) {
	t.Helper()
	for _, backward := range []bool{false, true} {
		segmentRead(t, l, shard, tail, driver.Range{Backward: backward})
		for _, limit := range []int{segmentLen - 1, segmentLen, segmentLen + 1} {
			segmentRead(t, l, shard, tail, driver.Range{Backward: backward, Limit: limit})
		}
		var edges []uint64
		for at := driver.Revision(0); at <= tail+segmentLen; at += segmentLen {
			for d := range driver.Revision(4) {
				edges = append(edges, uint64(max(at+d, 2)-2))
			}
		}
		edges = append(edges, uint64(tail), uint64(tail)+1)
		for _, from := range edges {
			for _, to := range edges {
				limit := 3
				if to > from && to-from < 10 {
					limit = 0
				}
				segmentRead(t, l, shard, tail, driver.Range{From: from, To: to, Limit: limit, Backward: backward})
			}
		}
	}
}

// segmentRead reads a range, all commits of it and those with the key.
func segmentRead(t *testing.T, l *Log, shard int, tail driver.Revision, r driver.Range) {
	t.Helper()
	all, edges := segmentExpect(tail, r, func(driver.Revision) bool { return true }), segmentExpect(tail, r, segmentEdge)
	for c, err := range l.Read(t.Context(), shard, r) {
		if err != nil {
			t.Fatalf("shard %d of %d, %+v: %v", shard, tail, r, err)
		}
		if len(all) == 0 || c.Revision != all[0] || !slices.Equal(c.Data, segmentData(shard, c.Revision)) {
			t.Fatalf("shard %d of %d, %+v: Read yields %d, %x; expected next are %v", shard, tail, r, c.Revision, c.Data, all[:min(1, len(all))])
		}
		all = all[1:]
	}
	for c, err := range l.Find(t.Context(), shard, "edge", r) {
		if err != nil {
			t.Fatalf("shard %d of %d, find %+v: %v", shard, tail, r, err)
		}
		if len(edges) == 0 || !slices.Equal(c.Data, segmentData(shard, edges[0])) {
			t.Fatalf("shard %d of %d, %+v: Find yields %x; expected next are %v", shard, tail, r, c.Data, edges[:min(1, len(edges))])
		}
		edges = edges[1:]
	}
	if len(all) > 0 || len(edges) > 0 {
		t.Fatalf("shard %d of %d, %+v: Read lacks %d commits, Find %d", shard, tail, r, len(all), len(edges))
	}
}

// segmentExpect lists the revisions of a range that match.
func segmentExpect(tail driver.Revision, r driver.Range, match func(driver.Revision) bool) (list []driver.Revision) {
	first, end := max(1, driver.Revision(r.From)), tail+1
	if r.To > 0 {
		end = min(end, driver.Revision(r.To))
	}
	for n := driver.Revision(0); first+n < end; n++ {
		rev := first + n
		if r.Backward {
			rev = end - 1 - n
		}
		if match(rev) {
			if list = append(list, rev); len(list) == r.Limit {
				break
			}
		}
	}
	return list
}
