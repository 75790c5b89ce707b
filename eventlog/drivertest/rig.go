package drivertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// batch puts one commit for each of data into a shard, behind first-1.
func batch(shard int, first driver.Revision, data ...string) driver.Batch {
	b := driver.Batch{Shard: shard, First: first}
	for i, d := range data {
		b.Commits = append(b.Commits, driver.Commit{Revision: first + driver.Revision(i), Data: []byte(d)})
	}
	return b
}

// keyed is a batch of one commit that carries keys.
func keyed(shard int, rev driver.Revision, data string, keys ...driver.Key) driver.Batch {
	b := batch(shard, rev, data)
	b.Commits[0].Keys = keys
	return b
}

func put(key, value string, version uint64) driver.CellOp {
	return driver.CellOp{Op: driver.Put, Cell: driver.Cell{Key: key, Value: []byte(value), Version: version}}
}

func remove(key string) driver.CellOp {
	return driver.CellOp{Op: driver.Delete, Cell: driver.Cell{Key: key}}
}

func check(key string) driver.CellOp {
	return driver.CellOp{Op: driver.Check, Cell: driver.Cell{Key: key}}
}

// when puts a condition on op.
func when(version uint64, op driver.CellOp) driver.CellOp {
	op.If = &version
	return op
}

// request is a Write with an id of its own.
func request(batches []driver.Batch, cells ...driver.CellOp) driver.Write {
	w := driver.Write{Batches: batches, Cells: cells}
	rand.Read(w.ID[:])
	return w
}

// write writes what the test needs there.
func write(t tb, log driver.Log, batches ...driver.Batch) {
	t.Helper()
	if err := log.Write(t.Context(), request(batches)); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func writeCells(t tb, log driver.Log, cells ...driver.CellOp) {
	t.Helper()
	if err := log.Write(t.Context(), request(nil, cells...)); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// fill writes n small commits into a shard, in few Writes. The data of revision
// r is text(r); each carries key "all" at position r.
func fill(t tb, log driver.Log, shard, n int) {
	t.Helper()
	for done := 0; done < n; {
		b := driver.Batch{Shard: shard, First: driver.Revision(done + 1)}
		for ; done < n && len(b.Commits) < 500; done++ {
			rev := driver.Revision(done + 1)
			b.Commits = append(b.Commits, driver.Commit{
				Revision: rev, Data: []byte(text(rev)), Keys: []driver.Key{{Name: "all", Pos: uint64(rev)}},
			})
		}
		write(t, log, b)
	}
}

func text(rev driver.Revision) string { return fmt.Sprintf("commit %d", rev) }

// collect returns what seq yields; an error ends the test.
func collect[T any](t tb, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for item, err := range seq {
		if err != nil {
			t.Fatalf("after %d items: %v", len(list), err)
		}
		list = append(list, item)
	}
	return list
}

// A row is a commit in a form that prints and compares well.
type row struct {
	Revision driver.Revision
	Data     string
}

func rows(commits []driver.Commit) []row {
	var list []row
	for _, c := range commits {
		list = append(list, row{c.Revision, short(c.Data)})
	}
	return list
}

// short is data, or length and checksum of what is long.
func short(data []byte) string {
	if len(data) <= 64 {
		return string(data)
	}
	return fmt.Sprintf("%d bytes, crc %08x", len(data), crc32.ChecksumIEEE(data))
}

// state is everything that a reader sees of some shards and of the cells.
type state struct {
	Tails map[int]driver.Revision
	Rows  map[int][]row
	Keys  map[int][]driver.Key
	Found map[string][]row // by shard and key
	Cells []driver.Cell
}

// look returns the state of the store.
func look(t tb, log driver.Log, shards ...int) state {
	t.Helper()
	s := state{
		Tails: make(map[int]driver.Revision), Rows: make(map[int][]row),
		Keys: make(map[int][]driver.Key), Found: make(map[string][]row),
	}
	ctx := t.Context()
	for _, shard := range shards {
		s.Tails[shard] = tail(t, log, shard)
		s.Rows[shard] = rows(collect(t, log.Read(ctx, shard, driver.Range{})))
		s.Keys[shard] = collect(t, log.Keys(ctx, shard, "", ""))
		for _, k := range s.Keys[shard] {
			found := collect(t, log.Find(ctx, shard, k.Name, driver.Range{}))
			s.Found[fmt.Sprintf("%d %q", shard, k.Name)] = rows(found)
		}
	}
	s.Cells = collect(t, log.Cells(ctx, "", "", 0))
	return s
}

func tail(t tb, log driver.Log, shard int) driver.Revision {
	t.Helper()
	rev, err := log.Tail(t.Context(), shard)
	if err != nil {
		t.Fatalf("tail of shard %d: %v", shard, err)
	}
	return rev
}

// equal compares what the driver did with what it should have done.
func equal(t tb, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(want, got) {
		return // much faster than cmp
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (- expected, + is):\n%s", what, diff)
	}
}

// refused checks that a Write is refused with an error that says for certain
// that nothing was written, that nothing was, and returns the error.
func refused(t tb, log driver.Log, w driver.Write, shards ...int) error {
	t.Helper()
	before := look(t, log, shards...)
	err := log.Write(t.Context(), w)
	if err == nil {
		t.Fatalf("a write that must be refused succeeded")
	}
	if errors.Is(err, driver.ErrUnknown) {
		t.Errorf("refused with ErrUnknown: %v", err)
	}
	equal(t, "state after a refused write", look(t, log, shards...), before)
	told(t, log, w, err)
	return err
}

// told checks the news that came with a refusal, if some did: what the refused
// writer did not know, all of it in order, and nothing that is not there.
func told(t tb, log driver.Log, w driver.Write, err error) {
	t.Helper()
	if err := rightNews(t.Context(), log, w, err); err != nil {
		t.Errorf("the news of a refusal: %v", err)
	}
}

func rightNews(ctx context.Context, log driver.Log, w driver.Write, refusal error) error {
	var e *driver.TailError
	if !errors.As(refusal, &e) {
		return nil
	}
	seen := map[int]bool{}
	for _, b := range e.News {
		i := slices.IndexFunc(w.Batches, func(o driver.Batch) bool { return o.Shard == b.Shard })
		switch {
		case seen[b.Shard]:
			return fmt.Errorf("shard %d is there twice", b.Shard)
		case b.First == 0:
			return fmt.Errorf("shard %d: they begin at 0", b.Shard)
		case i >= 0 && b.First != w.Batches[i].First:
			return fmt.Errorf("shard %d: they begin at %d, not at %d", b.Shard, b.First, w.Batches[i].First)
		}
		seen[b.Shard] = true
		end := b.First + driver.Revision(len(b.Commits))
		if b.Shard == e.Shard && end != e.Tail+1 {
			return fmt.Errorf("shard %d: they end at %d, its tail is %d", b.Shard, end-1, e.Tail)
		}
		var want []driver.Commit
		for c, err := range log.Read(ctx, b.Shard, driver.Range{From: uint64(b.First), To: uint64(end)}) {
			if err != nil {
				return err
			}
			want = append(want, c)
		}
		if len(want) != len(b.Commits) {
			return fmt.Errorf("shard %d has %d commits from %d on, the news are %d", b.Shard, len(want), b.First, len(b.Commits))
		}
		for i, c := range b.Commits {
			if c.Revision != want[i].Revision || len(c.Data) > 0 {
				return fmt.Errorf("shard %d: of revision %d the news have revision %d and %d bytes", b.Shard, want[i].Revision, c.Revision, len(c.Data))
			}
		}
	}
	return nil
}

// behind checks that err is a TailError with these fields.
func behind(t tb, err error, shard int, tail driver.Revision) {
	t.Helper()
	var e *driver.TailError
	if !errors.As(err, &e) {
		t.Fatalf("refused with %v, expected a *driver.TailError", err)
	}
	equal(t, "TailError", driver.TailError{Shard: e.Shard, Tail: e.Tail}, driver.TailError{Shard: shard, Tail: tail})
}

// otherVersion checks that err is a CellError with these fields.
func otherVersion(t tb, err error, key string, version uint64) {
	t.Helper()
	var e *driver.CellError
	if !errors.As(err, &e) {
		t.Fatalf("refused with %v, expected a *driver.CellError", err)
	}
	equal(t, "CellError", *e, driver.CellError{Key: key, Version: version})
}

func long(n int, c string) string { return strings.Repeat(c, n) }
