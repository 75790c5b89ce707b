package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// sealed is a commit with this body and the right header.
func sealed(body []byte) []byte {
	data := append(make([]byte, seal.Size), body...)
	seal.Put(data, goldenShard, goldenRevision)
	return data
}

// FuzzDecodeCommit: whatever stands behind a valid checksum, decoding does not
// panic, and what it accepts is written and read back the same.
func FuzzDecodeCommit(f *testing.F) {
	for _, c := range goldenCommits() {
		f.Add(c.encode(goldenShard, goldenRevision)[seal.Size:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeCommit(goldenShard, goldenRevision, body); err == nil {
			t.Fatal("accepted without a checksum")
		}
		c, err := decodeCommit(goldenShard, goldenRevision, sealed(body))
		if err != nil {
			named(t, "refusal", err)
			_, _ = decodeOnly(goldenShard, goldenRevision, sealed(body), "a")
			return
		}
		for _, e := range c.events {
			if one, err := decodeOnly(goldenShard, goldenRevision, sealed(body), e.stream); err != nil || len(one.events) == 0 {
				t.Fatalf("only %q: %d events, %v", e.stream, len(one.events), err)
			}
		}
		c.keys(goldenRevision, Index{Types: true, Correlations: true})
		again := c.encode(goldenShard, goldenRevision)
		back, err := decodeCommit(goldenShard, goldenRevision, again)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if third := back.encode(goldenShard, goldenRevision); !bytes.Equal(again, third) {
			t.Fatalf("written a third time it differs:\n%x\n%x", again, third)
		}
	})
}

// TestDecodeEncodeIdentity: what is read is what was written, for any commit.
func TestDecodeEncodeIdentity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCommit(t)
		data := c.encode(goldenShard, goldenRevision)
		if c.size() < len(data) {
			t.Fatalf("size says %d, the commit has %d bytes", c.size(), len(data))
		}
		back, err := decodeCommit(goldenShard, goldenRevision, data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, back, sameCommit); diff != "" {
			t.Fatalf("read back (-written +read):\n%s", diff)
		}
		for _, e := range c.events {
			if e.stream == "" { // that stands for all
				continue
			}
			one, err := decodeOnly(goldenShard, goldenRevision, data, e.stream)
			if err != nil {
				t.Fatalf("only %s: %v", e.stream, err)
			}
			want := slices.DeleteFunc(slices.Clone(back.events), func(o event) bool { return o.stream != e.stream })
			if !reflect.DeepEqual(one.events, want) {
				t.Fatalf("only %s: %+v, want %+v", e.stream, one.events, want)
			}
		}
	})
}

func drawID(t *rapid.T, label string) (id ID) {
	if rapid.Bool().Draw(t, label+"?") {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
	}
	return id
}

func drawMeta(t *rapid.T) Meta {
	text := rapid.StringN(0, 20, 300)
	return Meta{Correlation: drawID(t, "correlation"), Causation: drawID(t, "causation"), Actor: text.Draw(t, "actor"),
		Traceparent: text.Draw(t, "trace"), Extra: rapid.MapOfN(text, text, 0, 3).Draw(t, "extra")}
}

// drawCommit draws a commit as a transaction may make it.
func drawCommit(t *rapid.T) *commit {
	text := rapid.StringN(0, 20, 300)
	c := &commit{id: drawID(t, "id"), time: rapid.Int64().Draw(t, "time"), meta: drawMeta(t)}
	names := rapid.SliceOfNDistinct(text, 1, 20, rapid.ID[string]).Draw(t, "streams")
	heads := make(map[string]uint64)
	for index := range rapid.IntRange(0, 12).Draw(t, "events") {
		name := rapid.SampledFrom(names).Draw(t, "stream")
		if _, ok := heads[name]; !ok {
			heads[name] = rapid.Uint64Max(1<<60).Draw(t, "head")
		}
		heads[name]++
		c.events = append(c.events, event{stream: name, version: heads[name], index: uint16(index), typ: text.Draw(t, "type"),
			codec: text.Draw(t, "codec"), tags: rapid.SliceOfN(text, 0, 4).Draw(t, "tags"),
			data: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "onces") {
		c.onces = append(c.onces, once{text.Draw(t, "stream"), text.Draw(t, "id"), rapid.Uint64().Draw(t, "hash")})
	}
	c.tables = rapid.SliceOfN(text, 0, 3).Draw(t, "tables")
	if len(c.events) > 0 {
		all := []Meta{c.meta}
		for range rapid.IntRange(0, 4).Draw(t, "metas") {
			all = append(all, drawMeta(t))
		}
		for i := range c.events {
			c.events[i].meta = uint16(rapid.IntRange(0, len(all)-1).Draw(t, "meta"))
		}
		tabulate(all, []*commit{c})
	}
	if len(c.events) > 0 && rapid.Bool().Draw(t, "relaxed") {
		for i := range c.events {
			if n := len(c.relaxed); n == 0 || rapid.Bool().Draw(t, "next append") {
				a := relaxed{id: drawID(t, "append"), seen: driver.Revision(rapid.Uint64Max(1<<60).Draw(t, "seen")), time: rapid.Int64().Draw(t, "appended")}
				switch rapid.IntRange(0, 2).Draw(t, "cell") {
				case 1:
					a.cell = a.own()
				case 2:
					a.cell = looseName{a.seen, rapid.Int64().Draw(t, "put"), drawID(t, "cell id")}
				}
				c.relaxed = append(c.relaxed, a)
			}
			c.relaxed[len(c.relaxed)-1].events++
			c.events[i].part = uint16(len(c.relaxed))
		}
	}
	return c
}

// TestHostileCountsAllocateLittle: a count that lies makes the decoder allocate
// no more than a multiple of what is there. Not parallel: it measures.
func TestHostileCountsAllocateLittle(t *testing.T) {
	const times = 64
	huge := binary.AppendUvarint(nil, 1<<40)
	for name, c := range goldenCommits() {
		body := c.encode(goldenShard, goldenRevision)[seal.Size:]
		for i := range body {
			data := sealed(append(append(bytes.Clone(body[:i]), huge...), make([]byte, 1000)...))
			if got := allocated(func() { _, _ = decodeCommit(goldenShard, goldenRevision, data) }); got > uint64(times*len(data)) {
				t.Fatalf("%s, a count at byte %d: %d bytes allocated for %d bytes", name, i, got, len(data))
			}
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestManyStreams: past sixteen streams a commit finds them by a map.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	c := &commit{id: testID(1), time: 1}
	for i := range 200 {
		name := fmt.Sprintf("s/%d", i%50)
		c.events = append(c.events, event{stream: name, version: uint64(1 + i/50), index: uint16(i), typ: "t", tags: []string{name}})
	}
	spans := c.streams(nil)
	if len(spans) != 50 {
		t.Fatalf("%d streams, expected 50", len(spans))
	}
	for i, s := range spans {
		if s.name != fmt.Sprintf("s/%d", i) || s.first != 1 || s.last != 4 {
			t.Errorf("stream %d: %+v", i, s)
		}
	}
	if keys := c.keys(9, Index{}); len(keys) != 100 {
		t.Errorf("%d keys, expected each stream and each tag once", len(keys))
	}
	back, err := decodeCommit(goldenShard, goldenRevision, c.encode(goldenShard, goldenRevision))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, back, sameCommit); diff != "" {
		t.Errorf("read back (-written +read):\n%s", diff)
	}
}
