package datastorelog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/datastore"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
)

var update = flag.Bool("update", false, "write the golden files anew")

// reread is what the store would return of a block.
func reread(t interface{ Fatal(...any) }, b *block) *block {
	props, err := b.Save()
	if err != nil {
		t.Fatal(err)
	}
	var raw rawBlock
	if err := raw.Load(props); err != nil {
		t.Fatal(err)
	}
	again, err := raw.block(b.shard, b.number)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestPack packs batches, small and beyond what an entity takes, and reads them
// back.
func TestPack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := driver.Batch{Shard: 3, First: driver.Revision(rapid.Uint64Range(1, 1000).Draw(t, "first"))}
		pos := make(map[string]uint64)
		for i := range rapid.IntRange(0, 4).Draw(t, "commits") {
			c := driver.Commit{Revision: b.First + driver.Revision(i), Data: make([]byte, rapid.SampledFrom([]int{0, 1, 1000, driver.MaxCommit}).Draw(t, "data"))}
			length := rapid.SampledFrom([]int{8, 1300}).Draw(t, "length of names")
			for k := range rapid.SampledFrom([]int{0, 1, 3, 900, driver.MaxCommitKeys}).Draw(t, "keys") {
				name := fmt.Sprintf("%0*d", length, k)
				pos[name] += 3
				c.Keys = append(c.Keys, driver.Key{Name: name, Pos: pos[name]})
			}
			b.Commits = append(b.Commits, c)
		}
		packed(t, b, pack(b, 7, mark{}))
	})
}

func packed(t *rapid.T, batch driver.Batch, blocks []*block) {
	var got []driver.Commit
	var keys []driver.Key // of a commit whose data is still to come
	for i, b := range blocks {
		b = reread(t, b)
		if b.number != 7+uint64(i) {
			t.Fatalf("block %d has number %d", i, b.number)
		}
		if props, _ := b.Save(); len(b.values) > 5000 || entitySize(props) > 1<<20 {
			t.Fatalf("block %d: %d values, %d bytes", i, len(b.values), entitySize(props))
		}
		for j, c := range b.commits {
			for _, r := range c.keys {
				k, err := parseKey(b.values[r.key])
				if err != nil || r.pos > k.Pos {
					t.Fatalf("key %+v at %d, %v", k, r.pos, err)
				}
				keys = append(keys, driver.Key{Name: k.Name, Pos: r.pos})
			}
			if !b.part {
				got = append(got, driver.Commit{Revision: b.first + driver.Revision(j), Data: c.data, Keys: keys})
				keys = nil
			}
		}
	}
	if len(got) != len(batch.Commits) || len(keys) > 0 {
		t.Fatalf("%d commits, expected %d", len(got), len(batch.Commits))
	}
	for i, c := range batch.Commits {
		if g := got[i]; g.Revision != c.Revision || !bytes.Equal(g.Data, c.Data) || fmt.Sprint(g.Keys) != fmt.Sprint(c.Keys) && len(c.Keys) > 0 {
			t.Fatalf("commit %d: revision %d, %d bytes, %d keys", i, g.Revision, len(g.Data), len(g.Keys))
		}
	}
}

// entitySize is how the service reckons the properties of an entity.
func entitySize(props []datastore.Property) (n int) {
	for _, p := range props {
		n += len(p.Name) + 1
		switch v := p.Value.(type) {
		case []any:
			for _, s := range v {
				n += len(s.(string)) + 1
			}
		case []byte:
			n += len(v) + 1
		default:
			n += 8
		}
	}
	return n
}

// TestSpilledCommit: a commit whose keys are too long for one entity is one all the
// same, for every kind of read.
func TestSpilledCommit(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		l := leg.server(t).open(t, emulator.Project(), nil)
		c := driver.Commit{Revision: 2, Data: bytes.Repeat([]byte("d"), driver.MaxCommit)}
		for i := range 150 {
			c.Keys = append(c.Keys, driver.Key{Name: fmt.Sprintf("%01000d", i), Pos: uint64(i) + 1})
		}
		small := func(rev driver.Revision) driver.Commit {
			return driver.Commit{Revision: rev, Data: []byte("small"), Keys: []driver.Key{{Name: "k", Pos: uint64(rev)}}}
		}
		if err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{{First: 1, Commits: []driver.Commit{small(1), c, small(3)}}}}); err != nil {
			t.Fatal(err)
		}
		if err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{{First: 4, Commits: []driver.Commit{small(4)}}}}); err != nil {
			t.Fatal(err)
		}
		for _, r := range []driver.Range{{}, {Backward: true}, {From: 2, To: 3}, {From: 2, To: 3, Backward: true}, {From: 2}, {To: 3, Backward: true}, {From: 3}} {
			first, end := driver.Revision(max(1, r.From)), driver.Revision(5)
			if r.To != 0 {
				end = driver.Revision(r.To)
			}
			n := driver.Revision(0)
			for got, err := range l.Read(t.Context(), 0, r) {
				want := first + n
				if r.Backward {
					want = end - 1 - n
				}
				if err != nil || got.Revision != want || (want == 2) != (len(got.Data) == driver.MaxCommit) {
					t.Fatalf("%+v: revision %d of %d bytes, %v; expected %d", r, got.Revision, len(got.Data), err, want)
				}
				n++
			}
			if n != end-first {
				t.Errorf("%+v: %d commits, expected %d", r, n, end-first)
			}
		}
		for _, k := range []driver.Key{c.Keys[0], c.Keys[70], c.Keys[149]} {
			for _, r := range []driver.Range{{}, {Backward: true}, {From: k.Pos, To: k.Pos + 1}, {From: k.Pos, To: k.Pos + 1, Backward: true}} {
				n := 0
				for got, err := range l.Find(t.Context(), 0, k.Name, r) {
					if n++; err != nil || got.Revision != 2 || len(got.Data) != driver.MaxCommit {
						t.Errorf("key %s: revision %d of %d bytes, %v", k.Name[990:], got.Revision, len(got.Data), err)
					}
				}
				if n != 1 {
					t.Errorf("key %s in %+v: %d commits", k.Name[990:], r, n)
				}
			}
		}
	})
}

// TestDamage: an altered or missing block is reported with its place.
func TestDamage(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		l := leg.server(t).open(t, emulator.Project(), nil)
		for rev := driver.Revision(1); rev <= 40; rev++ {
			if err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commits(0, rev), commits(1, rev)}}); err != nil {
				t.Fatal(err)
			}
		}
		b := pack(commits(0, 20), 20, mark{})[0]
		b.commits[0].data = []byte("not what its checksum says")
		props, _ := b.Save()
		for i, p := range props {
			if p.Name == propCommits {
				p.Value.([]byte)[9] ^= 1
				props[i] = p
			}
		}
		list := datastore.PropertyList(props)
		if _, err := l.client.Put(t.Context(), l.blockKey(0, 20), &list); err != nil {
			t.Fatal(err)
		}
		if err := l.client.Delete(t.Context(), l.blockKey(1, 20)); err != nil {
			t.Fatal(err)
		}
		for shard, r := range map[int]driver.Range{0: {}, 1: {Backward: true}} {
			for shard, r := range map[int]driver.Range{shard: r, 1 - shard: r} {
				var last error
				for _, err := range l.Read(t.Context(), shard, r) {
					last = err
				}
				var bad *driver.CorruptError
				if !errors.As(last, &bad) || bad.Shard != shard || bad.Revision < 19 || bad.Revision > 21 {
					t.Errorf("shard %d, %+v: %v", shard, r, last)
				}
			}
		}
	})
}

func FuzzDecodeBlock(f *testing.F) {
	b := pack(commits(3, 5), 9, mark{})[0]
	f.Add(b.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &block{shard: 3, number: 9, first: 5, last: 5, values: b.values}
		if err := c.decode(make([]byte, 32), data); err == nil && !bytes.Equal(c.encode(), data) {
			t.Errorf("%x is read and written as %x", data, c.encode())
		}
	})
}

// TestStoredEntities holds the stored bytes against docs/format.md's golden file.
func TestStoredEntities(t *testing.T) {
	t.Parallel()
	k := func(name string, pos uint64) driver.Key { return driver.Key{Name: name, Pos: pos} }
	batch := driver.Batch{Shard: 12, First: 17, Commits: []driver.Commit{
		{Revision: 17, Data: []byte{0, 0xff}, Keys: []driver.Key{k("account/ada", 3), k("\x01tblue", 17)}},
		{Revision: 18, Data: []byte("x"), Keys: []driver.Key{k("account/ada", 14)}},
	}}
	m := mark{id: [16]byte{1, 2, 3}, call: [16]byte{4, 5, 6}}
	var out strings.Builder
	l := &Log{kinds: (&Options{Kind: DefaultKind}).kinds()}
	for _, b := range append(pack(batch, 5, m), pack(driver.Batch{Shard: 12, First: 19}, 6, m)...) {
		props, _ := b.Save()
		fmt.Fprintf(&out, "%s\n%s", l.blockKey(b.shard, b.number), listed(props))
	}
	props, _ := newRawCell(driver.Cell{Key: "t\x01notes\x01a b", Value: []byte(`"v"`), Version: 1 << 60}).Save()
	fmt.Fprintf(&out, "%s\n%s", l.cellKey("t\x01notes\x01a b"), listed(props))
	file := filepath.Join("testdata", "entities.txt")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("stored entities have changed:\n%s\nexpected:\n%s", &out, want)
	}
}

func listed(props []datastore.Property) string {
	var out strings.Builder
	for _, p := range props {
		how := "indexed"
		if p.NoIndex {
			how = "not indexed"
		}
		switch v := p.Value.(type) {
		case []any:
			fmt.Fprintf(&out, "  %s (%s):\n", p.Name, how)
			for _, s := range v {
				fmt.Fprintf(&out, "    %q\n", s)
			}
		case []byte:
			fmt.Fprintf(&out, "  %s (%s): %s\n", p.Name, how, hex.EncodeToString(v))
		default:
			fmt.Fprintf(&out, "  %s (%s): %#v\n", p.Name, how, v)
		}
	}
	return out.String()
}
