package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

const damagedShard = 1

// damageable are three commits of one shard, made by hand.
type damageable struct {
	streams []string // three of the shard
	commits []*commit
	stored  []driver.Commit
}

// store writes the commits as they are now, with their keys.
func (d *damageable) store() {
	d.stored = nil
	for i, c := range d.commits {
		rev := driver.Revision(i + 1)
		d.stored = append(d.stored, driver.Commit{Revision: rev, Data: c.encode(damagedShard, rev), Keys: c.keys(rev, Index{})})
	}
}

func newDamageable(l *Log) *damageable {
	d := new(damageable)
	for i := 0; len(d.streams) < 3; i++ {
		if s := fmt.Sprintf("s/%d", i); l.ShardOf(s) == damagedShard {
			d.streams = append(d.streams, s)
		}
	}
	for i := range 3 {
		version := uint64(2*i + 1)
		d.commits = append(d.commits, &commit{id: testID(byte(i)), time: int64(1000 * (i + 1)), events: []event{
			{stream: d.streams[0], version: version, typ: "t", tags: []string{"a", fmt.Sprint("b", i)}, data: []byte(`1`)},
			{stream: d.streams[0], version: version + 1, index: 1, typ: "t", data: []byte(`2`)},
			{stream: d.streams[1], version: uint64(i + 1), index: 2, typ: "t", data: []byte(`3`)},
		}})
	}
	d.store()
	return d
}

// TestCheckFindsDamage damages a store in each way in turn; Check says where
// and what.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(d *damageable)
		says   string // "": nothing is wrong
	}{
		"none":          {func(d *damageable) {}, ""},
		"flipped bit":   {func(d *damageable) { d.stored[1].Data[40] ^= 4 }, "revision 2: corrupt: checksum mismatch"},
		"cut short":     {func(d *damageable) { d.stored[1].Data = d.stored[1].Data[:3] }, "revision 2: corrupt: 3 bytes"},
		"moved":         {func(d *damageable) { d.stored[2].Data = d.stored[1].Data }, "revision 3: corrupt: checksum mismatch"},
		"newer format":  {func(d *damageable) { d.stored[1].Data[0] = 9 }, "revision 2 has commit format 9, this program knows 1"},
		"missing key":   {func(d *damageable) { d.unindex(1, "\x01tb1") }, `revision 2: corrupt: not indexed under "\x01tb1" at position 2`},
		"missing entry": {func(d *damageable) { d.unindex(1, "\x01ta") }, `revision 2: corrupt: not indexed under "\x01ta" at position 2`},
		"missing head":  {func(d *damageable) { d.unindex(2, d.streams[0]) }, "revision 2: corrupt: key \"s/0\" ends at position 4, not 6"},
		"stray key":     {func(d *damageable) { d.index(1, "stray", 1) }, `revision 2: corrupt: indexed under "stray", which it lacks`},
		"stray tag":     {func(d *damageable) { d.index(2, "\x01tb1", 3) }, `revision 3: corrupt: indexed under "\x01tb1", which it lacks`},
		"exchanged tags": {func(d *damageable) {
			d.unindex(1, "\x01tb1")
			d.unindex(2, "\x01tb2")
			d.index(1, "\x01tb2", 2)
			d.index(2, "\x01tb1", 3)
		}, `revision 2: corrupt: not indexed under "\x01tb1" at position 2`},
		"wrong position of a head": {func(d *damageable) {
			d.unindex(2, d.streams[1])
			d.index(2, d.streams[1], 7)
		}, "revision 3: corrupt: key \"s/1\" ends at position 7, not 3"},
		"wrong position of a tag": {func(d *damageable) {
			d.unindex(1, "\x01tb1")
			d.index(1, "\x01tb1", 9)
		}, `revision 2: corrupt: key "\x01tb1" ends at position 9, not 2`},
		"version skipped": {func(d *damageable) { d.commits[1].events[2].version = 3; d.commits[2].events[2].version = 4; d.store() }, "revision 2: corrupt: s/1 goes from version 1 to 3"},
		"begins at 2":     {func(d *damageable) { d.commits[0].events[2].stream = d.streams[2]; d.store() }, "revision 2: corrupt: s/1 goes from version 0 to 2"},
		"time stands":     {func(d *damageable) { d.commits[1].time = 1000; d.store() }, "revision 2: corrupt: time 1000 does not rise over 1000"},
		"time falls":      {func(d *damageable) { d.commits[2].time = 5; d.store() }, "revision 3: corrupt: time 5 does not rise over 2000"},
		"in another shard": {func(d *damageable) {
			d.commits[1].events[1].stream = "$x/2"
			d.commits[1].events[1].version = 1
			d.store()
		}, "revision 2: corrupt: stream $x/2 belongs to shard 2"},
		"chains":        {func(d *damageable) { d.chains() }, ""},
		"missing chain": {func(d *damageable) { d.chains(); d.unindex(1, correlationKey(testID(3))) }, `revision 2: corrupt: not indexed under "\x01c030405060708090a0b0c0d0e0f101112" at position 2`},
		"stray chain":   {func(d *damageable) { d.chains(); d.index(2, correlationKey(testID(3)), 3) }, `revision 3: corrupt: indexed under "\x01c030405060708090a0b0c0d0e0f101112", which it lacks`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, store := openDamaged(t)
			d := newDamageable(l)
			c.damage(d)
			putDamaged(t, store, d.stored)
			err := Check(t.Context(), l)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			says := strings.NewReplacer("s/0", d.streams[0], "s/1", d.streams[1]).Replace(c.says)
			if err == nil || !strings.Contains(err.Error(), "shard 1 "+says) {
				t.Errorf("Check says %v, expected shard 1 %s", err, says)
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Errorf("%v wraps neither ErrCorrupt nor ErrFormat", err)
			}
		})
	}
}

// chains gives the second commit events of two chains, and of none.
func (d *damageable) chains() {
	c := d.commits[1]
	c.metas = []Meta{{Correlation: testID(2)}, {Correlation: testID(3)}}
	c.events[1].meta, c.events[2].meta = 1, 2
	d.store()
}

func (d *damageable) unindex(i int, key string) {
	kept := d.stored[i].Keys[:0]
	for _, k := range d.stored[i].Keys {
		if k.Name != key {
			kept = append(kept, k)
		}
	}
	d.stored[i].Keys = kept
}

func (d *damageable) index(i int, key string, pos uint64) {
	d.stored[i].Keys = append(d.stored[i].Keys, driver.Key{Name: key, Pos: pos})
}

func openDamaged(t *testing.T) (*Log, driver.Log) {
	t.Helper()
	store := memlog.NewStore()
	l, err := Open(t.Context(), store.Open(), &Options{Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, store.Open()
}

func putDamaged(t *testing.T, d driver.Log, commits []driver.Commit) {
	t.Helper()
	w := driver.Write{Batches: []driver.Batch{{Shard: damagedShard, First: 1, Commits: commits}}}
	if err := d.Write(context.Background(), w); err != nil {
		t.Fatal(err)
	}
}

// TestDamageIsNeverServed: whatever reads a damaged commit gets the error that
// names it; the rest of the log is served.
func TestDamageIsNeverServed(t *testing.T) {
	t.Parallel()
	l, store := openDamaged(t)
	d := newDamageable(l)
	d.stored[1].Data[60] ^= 1
	putDamaged(t, store, d.stored)
	model := Model[int]{Name: "count", Else: func(n *int, _ Record) error { *n++; return nil }}
	count := func(records iter.Seq2[Record, error]) (n int, err error) {
		for _, err := range records {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	for name, c := range map[string]struct {
		read func() (int, error)
		want int // records before the damage
	}{
		"stream":   {func() (int, error) { return count(l.Read(t.Context(), Query{Stream: d.streams[0]})) }, 0},
		"backward": {func() (int, error) { return count(l.Read(t.Context(), Query{Stream: d.streams[0], Backward: true})) }, 0},
		"tag":      {func() (int, error) { return count(l.Read(t.Context(), Query{Tag: "b1"})) }, 0},
		"log":      {func() (int, error) { return count(l.Read(t.Context(), Query{})) }, 0},
		"load": {func() (int, error) {
			_, err := l.Update(t.Context(), func(tx *Tx) error { _, err := model.Load(tx, d.streams[1]); return err })
			return 0, err
		}, 0},
		"undamaged": {func() (int, error) {
			n, err := count(l.Read(t.Context(), Query{Shards: []int{1}, From: 3}))
			return n, err
		}, 3},
		"other tag": {func() (int, error) { return count(l.Read(t.Context(), Query{Tag: "b0"})) }, 1},
	} {
		n, err := c.read()
		var corrupt *driver.CorruptError
		switch {
		case c.want > 0 && (err != nil || n != c.want):
			t.Errorf("%s: %d records, %v, expected %d", name, n, err, c.want)
		case c.want == 0 && (!errors.As(err, &corrupt) || corrupt.Shard != damagedShard || corrupt.Revision != 2):
			t.Errorf("%s: %v, expected an error that names shard 1 revision 2", name, err)
		}
	}
}

// TestCheckNamesEachShard: damage in one shard does not hide that of another.
func TestCheckNamesEachShard(t *testing.T) {
	t.Parallel()
	l, store := openDamaged(t)
	for shard := range 3 {
		c := &commit{id: testID(1), time: 1}
		data := bytes.Clone(c.encode(shard, 1))
		data[len(data)-1] ^= byte(shard) // shard 0 stays whole
		w := driver.Write{Batches: []driver.Batch{{Shard: shard, First: 1, Commits: []driver.Commit{{Revision: 1, Data: data}}}}}
		if err := store.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	err := Check(t.Context(), l)
	for shard, want := range []bool{false, true, true} {
		if got := err != nil && strings.Contains(err.Error(), fmt.Sprintf("shard %d revision 1", shard)); got != want {
			t.Errorf("Check names shard %d: %t, expected %t: %v", shard, got, want, err)
		}
	}
}

// TestCheckWithProgress: progress rises up to the total, and a check ends with
// its ctx.
func TestCheckWithProgress(t *testing.T) {
	t.Parallel()
	l, _ := openDamaged(t)
	for i := range 2000 {
		if _, err := l.Append(t.Context(), fmt.Sprintf("s/%d", i%3), nil, Raw{Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	var calls, last, total int64
	err := CheckWith(t.Context(), l, &CheckOptions{Progress: func(done, all int64) {
		if calls++; done < last || done > all {
			t.Errorf("progress %d of %d after %d", done, all, last)
		}
		last, total = done, all
	}})
	if err != nil || calls == 0 || total != 4000 {
		t.Errorf("%d calls of Progress, total %d, %v", calls, total, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Check(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected context.Canceled", err)
	}
}
