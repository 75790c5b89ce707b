package remotelog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
)

func drawBytes(t *rapid.T) []byte { return rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes") }

func drawWrite(t *rapid.T) driver.Write {
	var w driver.Write
	copy(w.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	for range rapid.IntRange(0, 3).Draw(t, "batches") {
		b := driver.Batch{Shard: rapid.IntRange(0, maxShard).Draw(t, "shard"), First: driver.Revision(rapid.Uint64().Draw(t, "first"))}
		for j := range rapid.IntRange(0, 3).Draw(t, "commits") {
			c := driver.Commit{Revision: b.First + driver.Revision(j), Data: drawBytes(t)}
			for range rapid.IntRange(0, 3).Draw(t, "keys") {
				c.Keys = append(c.Keys, driver.Key{Name: string(drawBytes(t)), Pos: rapid.Uint64().Draw(t, "pos")})
			}
			b.Commits = append(b.Commits, c)
		}
		w.Batches = append(w.Batches, b)
	}
	for range rapid.IntRange(0, 3).Draw(t, "cells") {
		o := driver.CellOp{Op: driver.Op(rapid.IntRange(0, 3).Draw(t, "op")),
			Cell: driver.Cell{Key: string(drawBytes(t)), Value: drawBytes(t), Version: rapid.Uint64().Draw(t, "version")}}
		if rapid.Bool().Draw(t, "if") {
			o.If = new(rapid.Uint64().Draw(t, "is"))
		}
		w.Cells = append(w.Cells, o)
	}
	return w
}

// TestCodec: what is written into a frame is read from it, and its length was
// known.
func TestCodec(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWrite(t)
		b := end(appendWrite(begin(nil, askWrite, 7), &w), 0)
		if n := encodedLen(&w); len(b) > n {
			t.Errorf("%d bytes, expected at most %d", len(b), n)
		}
		f, err := readFrame(bytes.NewReader(b))
		if err != nil || f.kind != askWrite || f.id != 7 {
			t.Fatalf("%+v %v", f, err)
		}
		d := &decoder{b: f.body}
		got := d.write()
		if err := d.done(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestOutcomes: an error is the same on the other side, but for its text.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	news := []driver.Batch{{Shard: 2, First: 5, Commits: []driver.Commit{{Revision: 5, Data: []byte("a")}}}, {Shard: 3, First: 1}}
	for _, want := range []error{
		nil, &driver.TailError{Shard: 2, Tail: 5, News: news}, &driver.CellError{Key: "k", Version: 9}, &driver.CorruptError{Shard: 1, Revision: 2, Reason: "r"},
		driver.ErrUnknown, driver.ErrTooLarge, driver.ErrDiskFull, driver.ErrCorrupt, ErrReadOnly, errGone, errors.New("other"),
	} {
		d := &decoder{b: appendOutcome(nil, want)}
		got := d.outcome()
		if err := d.done(); err != nil {
			t.Errorf("%v: %v", want, err)
		}
		if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
			t.Errorf("%v became %v", want, got)
		}
		var tail, had *driver.TailError
		if errors.As(got, &tail) && errors.As(want, &had) && !cmp.Equal(had, tail, cmpopts.EquateEmpty()) {
			t.Errorf("%+v became %+v", had, tail)
		}
		for _, s := range sentinels {
			if errors.Is(got, s) != errors.Is(want, s) {
				t.Errorf("%v is %v: %v", got, s, errors.Is(got, s))
			}
		}
	}
	d := &decoder{b: appendOutcome(nil, driver.ErrClosed)}
	if err := d.outcome(); !errors.Is(err, errGone) || errors.Is(err, driver.ErrClosed) {
		t.Errorf("a closed store is %v to a client", err)
	}
}

func FuzzDecode(f *testing.F) {
	w := driver.Write{Batches: []driver.Batch{{Shard: 1, First: 2, Commits: []driver.Commit{{Revision: 2, Data: []byte("d"), Keys: []driver.Key{{Name: "k", Pos: 3}}}}}},
		Cells: []driver.CellOp{{Op: driver.Put, If: new(uint64(1)), Cell: driver.Cell{Key: "c", Value: []byte("v"), Version: 2}}}}
	f.Add(end(appendWrite(begin(nil, askWrite, 1), &w), 0))
	f.Add(end(appendOutcome(begin(nil, tellDone, 1), &driver.TailError{Shard: 1, Tail: 2, News: w.Batches}), 0))
	f.Add(rawFrame(askRead, 1, 0, 0, 0, 1, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, take := range []func(d *decoder){
			func(d *decoder) { d.write() }, func(d *decoder) { _ = d.outcome() }, func(d *decoder) { d.rng() },
			func(d *decoder) { d.commit() }, func(d *decoder) { d.key() }, func(d *decoder) { d.cell() },
		} {
			d := &decoder{b: fr.body}
			if take(d); d.err == nil {
				continue
			}
			if !errors.Is(d.err, errProtocol) || len(d.b) > 0 {
				t.Errorf("%v, %d bytes left", d.err, len(d.b))
			}
		}
	})
}
