package eventlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// looseStream is one of the golden shard, among looseShards.
const (
	looseStream = "$x/7"
	looseCount  = 16
)

func goldenLoose() (looseName, []*commit) {
	const at = 1_767_225_600_123_456_789
	n := looseName{goldenRevision, at, testID(0x10)}
	n.id[14], n.id[15] = 0, 0
	return n, []*commit{
		{id: n.id, time: at, meta: Meta{Actor: "ada"}, events: []event{
			{stream: looseStream, version: 1, typ: "a", tags: []string{"x"}, data: []byte(`{"n":1}`)},
			{stream: looseStream, version: 2, index: 1, typ: "b", codec: "cbor", data: []byte{0, 255}},
		}, onces: []once{{looseStream, "1", 7}}},
		{id: testID(0x30), time: at + 5, onces: []once{{looseStream, "2", 8}}},
	}
}

func goldenCell() driver.Cell {
	n, commits := goldenLoose()
	for _, c := range commits {
		c.streams(nil)
	}
	return driver.Cell{Key: n.cell(goldenShard), Version: 9, Value: encodeLoose(goldenShard, n.seen, commits)}
}

// TestLooseGolden: the stored bytes of relaxed appends stay readable.
func TestLooseGolden(t *testing.T) {
	t.Parallel()
	cell := goldenCell()
	stored := golden(t, filepath.Join("commit", "loose.hex"), fmt.Sprintf("%q\n%s", cell.Key, hex.Dump(cell.Value)))
	cell.Value = undump(t, stored)
	c, err := decodeLoose(goldenShard, looseCount, cell)
	if err != nil {
		t.Fatal(err)
	}
	n, commits := goldenLoose()
	if diff := cmp.Diff(commits, c.commits, sameCommit); diff != "" || c.looseName != n || c.version != 9 {
		t.Errorf("%s version %d (-written +read):\n%s", c.looseName, c.version, diff)
	}
}

// TestLooseDamage: no damage of a cell is ever folded, and the error names it.
func TestLooseDamage(t *testing.T) {
	t.Parallel()
	good := goldenCell()
	refused := func(what string, c driver.Cell) {
		t.Helper()
		got, err := decodeLoose(goldenShard, looseCount, c)
		if err == nil {
			t.Fatalf("%s: read as %+v", what, got)
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.Key)) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range good.Value {
		for bit := range 8 {
			c := good
			c.Value = bytes.Clone(good.Value)
			c.Value[i] ^= 1 << bit
			refused(fmt.Sprintf("byte %d, bit %d", i, bit), c)
		}
		if i != wholeFirst(good.Value) {
			c := good
			c.Value = good.Value[:i]
			refused(fmt.Sprintf("cut at %d", i), c)
		}
	}
	long := good
	long.Value = append(bytes.Clone(good.Value), 0)
	refused("a byte too many", long)
	n, _ := goldenLoose()
	for _, other := range []looseName{{n.seen + 1, n.time, n.id}, {n.seen, n.time + 1, n.id}, {n.seen, n.time, testID(1)}} {
		c := good
		c.Key = other.cell(goldenShard)
		refused("under another name", c)
	}
	for _, key := range []string{looseShard(goldenShard), n.cell(goldenShard + 1), n.cell(goldenShard) + "0", looseShard(goldenShard) + "1.2.3"} {
		c := good
		c.Key = key
		refused("under no name", c)
	}
	if _, err := decodeLoose(goldenShard, 5, good); !errors.Is(err, ErrCorrupt) {
		t.Errorf("in a log where its stream lies elsewhere: %v", err)
	}
}

// wholeFirst is where the first of the golden appends ends: what remains of a cell
// cut there is a whole cell, which a store does not make of another.
func wholeFirst(value []byte) int {
	d := decoder{value[1:], nil}
	d.bytes(d.count(1))
	return len(value) - len(d.b)
}

// TestLooseNames: names sort by place, and are read as they were written.
func TestLooseNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) looseName {
			small := rapid.Uint64Max(3)
			seen, at := rapid.OneOf(small, rapid.Uint64()).Draw(t, what+" seen"), rapid.OneOf(small, rapid.Uint64Max(1<<63-1)).Draw(t, what+" time")
			return looseName{driver.Revision(seen), int64(at), drawID(t, what)}
		}
		a, b := draw("a"), draw("b")
		if got, want := strings.Compare(a.String(), b.String()), a.compare(b); got != want {
			t.Fatalf("%s and %s sort %d, their places %d", a, b, got, want)
		}
		if back, err := parseLooseName(a.String()); err != nil || back != a {
			t.Fatalf("%s is read as %s, %v", a, back, err)
		}
	})
}

// FuzzDecodeLoose: whatever a cell holds, reading it fails or gives appends that can
// be folded.
func FuzzDecodeLoose(f *testing.F) {
	good := goldenCell()
	f.Add(good.Key, good.Value)
	f.Add(good.Key, []byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		c, err := decodeLoose(goldenShard, looseCount, driver.Cell{Key: key, Value: value, Version: 1})
		if err != nil {
			return
		}
		if again := encodeLoose(goldenShard, c.seen, c.commits); len(again) > len(value)+64 {
			t.Fatalf("%d bytes of %d", len(again), len(value))
		}
	})
}

// TestHostileRelaxed: what a commit says of the appends that it folds must be true.
func TestHostileRelaxed(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]struct {
		do   func(c *commit)
		says string
	}{
		"fewer events":  {func(c *commit) { c.relaxed[2].events = 2 }, "have not the events"},
		"more events":   {func(c *commit) { c.relaxed[0].events = 1 }, "have not the events"},
		"no events":     {func(c *commit) { c.relaxed[1].events = 0 }, "append of 0 events"},
		"countless":     {func(c *commit) { c.relaxed[1].events = MaxEvents + 1 }, "append of 60001 events"},
		"too many":      {func(c *commit) { c.relaxed = append(c.relaxed, relaxed{id: testID(1), events: 1}) }, "have not the events"},
		"of none":       {func(c *commit) { c.events = nil; c.metas = nil }, "have not the events"},
		"one left over": {func(c *commit) { c.relaxed = c.relaxed[:2] }, "have not the events"},
	} {
		c := goldenCommits()["relaxed"]
		damage.do(c)
		_, err := decodeCommit(goldenShard, goldenRevision, c.encode(goldenShard, goldenRevision))
		if named(t, name, err); !strings.Contains(err.Error(), damage.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckFindsFoldedTwice: two commits that fold the same cell are damage, and so is
// one that folds what saw more than came before it.
func TestCheckFindsFoldedTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen  driver.Revision
		again bool
		says  string
	}{
		"once":            {1, false, ""},
		"twice":           {1, true, "revision 3: corrupt: folds the relaxed appends 00000000000000000001."},
		"from the future": {2, false, "revision 2: corrupt: folds an append that saw revision 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, store := openDamaged(t)
			d := newDamageable(l)
			for i := range d.commits[1:] {
				at := d.commits[i+1]
				if i > 0 && !c.again {
					continue
				}
				a := relaxed{id: testID(0x40), seen: c.seen, time: 5, events: len(at.events)}
				a.cell = a.own()
				at.relaxed = []relaxed{a}
				for j := range at.events {
					at.events[j].part = 1
				}
			}
			d.store()
			putDamaged(t, store, d.stored)
			err := Check(t.Context(), l)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("Check says %v", err)
			}
		})
	}
}

// TestLooseShardsSkip: shards are found without reading what lies in them.
func TestLooseShardsSkip(t *testing.T) {
	t.Parallel()
	l, err := Open(t.Context(), memlog.Open(), &Options{Shards: 1024, FoldAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var want []int
	for i := range 40 {
		stream := fmt.Sprint("s/", i)
		for range 3 {
			if _, err := l.Append(t.Context(), stream, &AppendOptions{Relaxed: true}, Raw{Type: "t", Data: []byte("1")}); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, l.ShardOf(stream))
	}
	slices.Sort(want)
	got, err := l.LooseShards(t.Context())
	if diff := cmp.Diff(slices.Compact(want), got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	list, err := l.Unfolded(t.Context())
	appends := 0
	for _, u := range list {
		appends += u.Appends
		if u.Bytes == 0 || u.Oldest.IsZero() || u.Events != u.Appends || u.Cells != u.Appends {
			t.Errorf("%+v", u)
		}
	}
	if err != nil || appends != 120 || len(list) != len(got) {
		t.Errorf("%d appends in %d shards, %v", appends, len(list), err)
	}
}
