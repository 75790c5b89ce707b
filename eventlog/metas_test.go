package eventlog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/seal"
)

// mixed is a commit with these metas and an event for each of at.
func mixed(metas []Meta, at ...uint16) *commit {
	c := &commit{id: testID(0x10), time: 1, meta: metas[0], metas: metas[1:]}
	for i, m := range at {
		c.events = append(c.events, event{stream: "s", version: uint64(i + 1), index: uint16(i), meta: m, typ: "t", data: []byte("1")})
	}
	return c
}

// TestHostileMetas: a table of metadata that events do not use in its order is
// corrupt; one that holds the same twice does no harm.
func TestHostileMetas(t *testing.T) {
	t.Parallel()
	a, b, c := Meta{Actor: "a"}, Meta{Actor: "b"}, Meta{Actor: "c"}
	for name, x := range map[string]struct {
		commit *commit
		says   string // "": it is taken
	}{
		"in order":           {mixed([]Meta{a, b, c}, 0, 0, 1, 0, 2, 1), ""},
		"the same twice":     {mixed([]Meta{a, b, a}, 0, 1, 2), ""},
		"out of range":       {mixed([]Meta{a, b}, 0, 1, 2), "event with metadata 2, behind 2 of 2"},
		"far out of range":   {mixed([]Meta{a, b}, 0, 1, 65535), "event with metadata 65535"},
		"not used":           {mixed([]Meta{a, b, c}, 0, 1), "metadata of no event: 2 of 3"},
		"the first not used": {mixed([]Meta{a, b}, 1, 1, 1), "event with metadata 1, behind 0 of 2"},
		"out of order":       {mixed([]Meta{a, b, c}, 0, 2, 1), "event with metadata 2, behind 1 of 3"},
		"none uses any":      {mixed([]Meta{a, b}), "more metadata than events"},
		"more than events":   {mixed(make([]Meta, 1000), 0), "more metadata than events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			back, err := decodeCommit(goldenShard, goldenRevision, x.commit.encode(goldenShard, goldenRevision))
			if x.says != "" {
				if named(t, name, err); !strings.Contains(err.Error(), x.says) {
					t.Errorf("error %v, expected %q", err, x.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.commit, back, sameCommit); diff != "" {
				t.Errorf("read back (-written +read):\n%s", diff)
			}
			for i, e := range back.events {
				r := back.record(nil, goldenShard, goldenRevision, &back.events[i])
				if want := x.commit.metaAt(int(e.meta)).Actor; r.Meta.Actor != want {
					t.Errorf("event %d has the metadata of %s, expected %s", i, r.Meta.Actor, want)
				}
			}
		})
	}
}

// TestHostileMetaBits: metadata of a kind that this program does not know is not
// skipped over, and an event's place in the table is bounded.
func TestHostileMetaBits(t *testing.T) {
	t.Parallel()
	body := mixed([]Meta{{}}, 0).encode(goldenShard, goldenRevision)[seal.Size:]
	const at = 16 + 8
	for _, bits := range []byte{128, 192, 255} {
		hostile := bytes.Clone(body)
		hostile[at] = bits
		_, err := decodeCommit(goldenShard, goldenRevision, sealed(hostile))
		if named(t, "bits", err); !strings.Contains(err.Error(), "unknown kind") {
			t.Errorf("bits %d: %v", bits, err)
		}
	}
	two := mixed([]Meta{{Actor: "a"}, {Actor: "b"}}, 0, 1).encode(goldenShard, goldenRevision)[seal.Size:]
	i := bytes.LastIndex(two, []byte{0, 1, 1, 1, 't'}) // stream, meta, index, type
	_, err := decodeCommit(goldenShard, goldenRevision, sealed(append(append(bytes.Clone(two[:i+1]), 0x81, 0x80, 0x04), two[i+2:]...)))
	if named(t, "place", err); !strings.Contains(err.Error(), "event with metadata 65537") {
		t.Errorf("a place beyond 16 bits: %v", err)
	}
}

// TestEndlessMetas: metadata that goes on and on makes nobody allocate more than
// a multiple of it. Not parallel: it measures.
func TestEndlessMetas(t *testing.T) {
	data := sealed(append(make([]byte, 16+8), bytes.Repeat([]byte{hasNext}, 1<<20)...))
	if got := allocated(func() { _, _ = decodeCommit(goldenShard, goldenRevision, data) }); got > uint64(64*len(data)) {
		t.Errorf("%d bytes allocated for %d bytes", got, len(data))
	}
}

// TestTabulate: whatever metas events have, each commit gets those of its own
// events, each once, in the order of first use.
func TestTabulate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []Meta
		for range rapid.IntRange(1, 8).Draw(t, "metas") {
			all = append(all, Meta{Actor: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "actor"),
				Extra: rapid.SampledFrom([]map[string]string{nil, {}, {"k": "v"}, {"k": "", "l": ""}}).Draw(t, "extra")})
		}
		commits := make([]*commit, rapid.IntRange(1, 3).Draw(t, "commits"))
		want := make([][]metaKey, len(commits))
		for i := range commits {
			commits[i] = &commit{meta: Meta{Actor: "its own"}}
			for range rapid.IntRange(0, 10).Draw(t, "events") {
				m := rapid.IntRange(0, len(all)-1).Draw(t, "meta")
				commits[i].events = append(commits[i].events, event{meta: uint16(m)})
				want[i] = append(want[i], all[m].key())
			}
		}
		tabulate(all, commits)
		for i, c := range commits {
			if len(c.events) == 0 && (c.meta.Actor != "its own" || len(c.metas) > 0) {
				t.Fatalf("a commit without events has %v, %v", c.meta, c.metas)
			}
			for j := range c.events {
				if got := c.metaAt(int(c.events[j].meta)).key(); got != want[i][j] {
					t.Fatalf("event %d of commit %d has %v, expected %v", j, i, got, want[i][j])
				}
			}
			if err := c.checkMetas(); err != nil {
				t.Fatal(err)
			}
			for a := range len(c.metas) {
				for b := range a + 1 {
					if c.metaAt(b).key() == c.metas[a].key() {
						t.Fatalf("%v stands in the table twice", c.metas[a])
					}
				}
			}
		}
	})
}

// TestForeignMetas: a log in which another program wrote the same metadata twice,
// or gave the parts of a transaction different ones, is whole, and the same after
// an export and an import.
func TestForeignMetas(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	l, err := Open(t.Context(), store.Open(), &Options{Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	chain := Meta{Correlation: testID(0x20)}
	twice := mixed([]Meta{chain, {}, chain, {Actor: "a"}}, 0, 1, 2, 3)
	for i := range twice.events {
		twice.events[i].stream = "$s/0"
	}
	parts := []*commit{twice, {time: 1, meta: Meta{Actor: "b"}}, {time: 1, meta: Meta{Actor: "c"}}}
	w, id := driver.Write{}, newID()
	for shard, c := range parts {
		c.id = id
		w.Batches = append(w.Batches, driver.Batch{Shard: shard, First: 1, Commits: []driver.Commit{
			{Revision: 1, Data: c.encode(shard, 1), Keys: c.keys(1, Index{})},
		}})
	}
	if err := store.Open().Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), l); err != nil {
		t.Error(err)
	}
	n := 0
	for r, err := range l.Read(t.Context(), Query{Correlation: chain.Correlation, System: true}) {
		if n++; err != nil || r.Index != 0 && r.Index != 2 {
			t.Errorf("record %+v, %v", r, err)
		}
	}
	if n != 2 {
		t.Errorf("%d records of the chain, expected 2", n)
	}
	export := exported(t, l)
	if r, err := Import(t.Context(), l, strings.NewReader(export)); err != nil || r.Repeated != 1 {
		t.Errorf("an import into the same log: %+v, %v", r, err)
	}
	to, err := Open(t.Context(), memlog.Open(), &Options{Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := Import(t.Context(), to, strings.NewReader(export)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(export, exported(t, to)); diff != "" {
		t.Errorf("another export (-from +to):\n%s", diff)
	}
}

func exported(t *testing.T, l *Log) string {
	t.Helper()
	var out bytes.Buffer
	if err := Export(t.Context(), l, &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
