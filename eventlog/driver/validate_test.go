package driver_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

func put(key, value string, version uint64) driver.CellOp {
	return driver.CellOp{Op: driver.Put, Cell: driver.Cell{Key: key, Value: []byte(value), Version: version}}
}

func when(version uint64, op driver.CellOp) driver.CellOp {
	op.If = &version
	return op
}

// batch has a commit of each size.
func batch(shard int, first driver.Revision, sizes ...int) driver.Batch {
	b := driver.Batch{Shard: shard, First: first}
	for i, n := range sizes {
		b.Commits = append(b.Commits, driver.Commit{Revision: first + driver.Revision(i), Data: make([]byte, n)})
	}
	return b
}

func keys(n, length int) []driver.Key {
	var list []driver.Key
	for i := range n {
		list = append(list, driver.Key{Name: fmt.Sprintf("%0*d", length, i), Pos: 1})
	}
	return list
}

func keyed(keys ...driver.Key) driver.Batch {
	b := batch(0, 1, 0)
	b.Commits[0].Keys = keys
	return b
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const max = driver.MaxCommit
	rest := driver.MaxWrite - 3*max
	wrong := batch(0, 5, 1, 1)
	wrong.Commits[1].Revision = 7
	long := strings.Repeat("n", driver.MaxName)
	ok, tooLarge, malformed := "", "too large", "malformed"
	for _, c := range []struct {
		name    string
		want    string
		batches []driver.Batch
		cells   []driver.CellOp
	}{
		{"nothing", ok, nil, nil},
		{"checks", ok, []driver.Batch{batch(0, 1), batch(1, 9)}, nil},
		{"a commit", ok, []driver.Batch{batch(3, 5, 10)}, nil},
		{"cells", ok, nil, []driver.CellOp{put("a", "", 1), when(0, put("b", "", 1)), when(6, put("c", "", 7)), {Op: driver.Delete, Cell: driver.Cell{Key: "d"}}, {Cell: driver.Cell{Key: "e"}}}},
		{"largest commit", ok, []driver.Batch{batch(0, 1, max)}, nil},
		{"commit too large", tooLarge, []driver.Batch{batch(0, 1, max+1)}, nil},
		{"second commit too large", tooLarge, []driver.Batch{batch(0, 1, 1, max+1)}, nil},
		{"largest cell", ok, nil, []driver.CellOp{put("a", strings.Repeat("x", max), 1)}},
		{"cell too large", tooLarge, nil, []driver.CellOp{put("a", strings.Repeat("x", max+1), 1)}},
		{"most keys", ok, []driver.Batch{keyed(keys(driver.MaxCommitKeys, 5)...)}, nil},
		{"too many keys", tooLarge, []driver.Batch{keyed(keys(driver.MaxCommitKeys+1, 5)...)}, nil},
		{"longest name", ok, []driver.Batch{keyed(driver.Key{Name: long, Pos: 1})}, []driver.CellOp{put(long, "", 1)}},
		{"name of key too long", tooLarge, []driver.Batch{keyed(driver.Key{Name: long + "n", Pos: 1})}, nil},
		{"name of cell too long", tooLarge, nil, []driver.CellOp{put(long+"n", "", 1)}},
		{"largest write", ok, []driver.Batch{batch(0, 1, max, max), batch(1, 1, max), batch(2, 1, rest)}, nil},
		{"write too large", tooLarge, []driver.Batch{batch(0, 1, max, max), batch(1, 1, max), batch(2, 1, rest+1)}, nil},
		{"write too large by a cell", tooLarge, []driver.Batch{batch(0, 1, max, max, max, rest-2)}, []driver.CellOp{put("a", "xx", 1)}},
		{"largest write by a cell", ok, []driver.Batch{batch(0, 1, max, max, max, rest-3)}, []driver.CellOp{put("a", "xx", 1)}},
		{"write too large by keys", tooLarge, []driver.Batch{keyed(keys(3000, 1200)...)}, nil},
		{"negative shard", malformed, []driver.Batch{batch(-1, 1, 1)}, nil},
		{"first revision 0", malformed, []driver.Batch{batch(0, 0, 1)}, nil},
		{"check of revision 0", malformed, []driver.Batch{batch(0, 0)}, nil},
		{"wrong revision", malformed, []driver.Batch{wrong}, nil},
		{"shard twice", malformed, []driver.Batch{batch(4, 1, 1), batch(5, 1, 1), batch(4, 2)}, nil},
		{"cell twice", malformed, nil, []driver.CellOp{put("a", "", 1), put("b", "", 1), {Cell: driver.Cell{Key: "a"}}}},
		{"empty name of key", malformed, []driver.Batch{keyed(driver.Key{Pos: 1})}, nil},
		{"empty name of cell", malformed, nil, []driver.CellOp{put("", "", 1)}},
		{"name not UTF-8", malformed, nil, []driver.CellOp{{Cell: driver.Cell{Key: "\xff"}}}},
		{"put of version 0", malformed, nil, []driver.CellOp{put("a", "", 0)}},
		{"version does not rise", malformed, nil, []driver.CellOp{when(7, put("a", "", 7))}},
		{"version falls", malformed, nil, []driver.CellOp{when(7, put("a", "", 6))}},
		{"unknown op", malformed, nil, []driver.CellOp{{Op: driver.Delete + 1, Cell: driver.Cell{Key: "a"}}}},
	} {
		w := driver.Write{Batches: c.batches, Cells: c.cells}
		err := w.Validate()
		got := ok
		if errors.Is(err, driver.ErrTooLarge) {
			got = tooLarge
		} else if err != nil {
			got = malformed
		}
		if got != c.want {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
}

func TestRangeContains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    driver.Range
		in   []uint64
		out  []uint64
		name string
	}{
		{driver.Range{}, []uint64{0, 1, 1 << 63}, nil, "all"},
		{driver.Range{From: 3}, []uint64{3, 4, 1 << 63}, []uint64{0, 2}, "from 3"},
		{driver.Range{To: 3}, []uint64{0, 1, 2}, []uint64{3, 4}, "before 3"},
		{driver.Range{From: 3, To: 5, Backward: true, Limit: 1}, []uint64{3, 4}, []uint64{2, 5}, "3 and 4"},
		{driver.Range{From: 5, To: 3}, nil, []uint64{2, 3, 4, 5, 6}, "none"},
	} {
		for _, p := range c.in {
			if !c.r.Contains(p) {
				t.Errorf("%s: %d is not in it", c.name, p)
			}
		}
		for _, p := range c.out {
			if c.r.Contains(p) {
				t.Errorf("%s: %d is in it", c.name, p)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	var err error = fmt.Errorf("read: %w", &driver.CorruptError{Shard: 3, Revision: 7, Reason: "checksum mismatch"})
	if !errors.Is(err, driver.ErrCorrupt) {
		t.Errorf("%v is not ErrCorrupt", err)
	}
	for want, err := range map[string]error{
		"shard 3 has tail 7":                                   &driver.TailError{Shard: 3, Tail: 7},
		`cell "a b" has version 9`:                             &driver.CellError{Key: "a b", Version: 9},
		"read: shard 3 revision 7: corrupt: checksum mismatch": err,
	} {
		if err.Error() != want {
			t.Errorf("%q, expected %q", err, want)
		}
	}
}

// TestValidateMany: the time that many batches take grows with their number.
func TestValidateMany(t *testing.T) {
	t.Parallel()
	w := driver.Write{Batches: make([]driver.Batch, 1_000_000)}
	for i := range w.Batches {
		w.Batches[i] = driver.Batch{Shard: i, First: 1}
	}
	begin := time.Now()
	if err := w.Validate(); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	w.Batches[len(w.Batches)-1].Shard = 7
	if err := w.Validate(); err == nil || !strings.Contains(err.Error(), "shard 7 appears twice") {
		t.Error(err)
	}
}
