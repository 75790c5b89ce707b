package pebblelog

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestDamageHidesNoSegment: when the end of a shard cannot be read, the log does
// not open with an earlier end, behind which the next write would overwrite what
// was acknowledged. The tails file is from before the last flush, as after a crash.
func TestDamageHidesNoSegment(t *testing.T) {
	t.Parallel()
	const last = segmentLen + 1000
	disk := vfs.NewCrashableMem()
	l := mustOpen(t, &Options{FS: disk, Compression: Fastest})
	fill := func(from, to driver.Revision) {
		b := driver.Batch{Shard: 3, First: from}
		for rev := from; rev <= to; rev++ {
			b.Commits = append(b.Commits, driver.Commit{Revision: rev, Data: []byte(corruptText(rev))})
		}
		mustWrite(t, l, nil, b)
		if err := l.db.Flush(); err != nil {
			t.Fatal(err)
		}
		l.saving.Wait()
	}
	fill(1, 4000)
	tails, err := readAll(disk, "log/"+tailsFile)
	if err != nil {
		t.Fatal(err)
	}
	fill(4001, last)
	if err := errors.Join(l.Close(), replaceFile(disk, "log", tailsFile, tails)); err != nil {
		t.Fatal(err)
	}
	names, err := disk.List("log")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		text, err := readAll(disk, "log/"+name)
		if err != nil {
			t.Fatal(err)
		}
		for at := len(text) - 1; at >= 0; at -= 1 + len(text)/100 {
			damaged := disk.CrashClone(vfs.CrashCloneCfg{})
			flip(t, damaged, "log/"+name, int64(at))
			l, err := Open("log", &Options{FS: damaged})
			if err != nil {
				found++
				continue
			}
			if tail, err := l.Tail(t.Context(), 3); err != nil || tail != last {
				t.Errorf("byte %d of %s: the log of %d commits opened with tail %d, %v", at, name, last, tail, err)
			}
			_ = l.Close()
		}
	}
	if found == 0 {
		t.Error("no byte mattered: this test tests nothing")
	}
}

// TestHoleHidesNothing: a shard whose first commits are gone is not taken for one
// that ends before them, or is not there.
func TestHoleHidesNothing(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string][2]driver.Revision{"the first segment": {1, segmentLen}, "the second segment": {segmentLen, 2 * segmentLen}} {
		disk := vfs.NewMem()
		l := mustOpen(t, &Options{FS: disk})
		b := driver.Batch{Shard: 3, First: 1}
		for rev := driver.Revision(1); rev <= 2*segmentLen+5; rev++ {
			b.Commits = append(b.Commits, driver.Commit{Revision: rev, Data: []byte("x")})
		}
		mustWrite(t, l, nil, b)
		err := l.db.DeleteRange(appendCommitKey(nil, 3, gone[0]), appendCommitKey(nil, 3, gone[1]), pebble.Sync)
		if err := errors.Join(err, l.Close(), disk.Remove("log/"+tailsFile)); err != nil {
			t.Fatal(err)
		}
		l, err = Open("log", &Options{FS: disk})
		var corrupt *driver.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Shard != 3 {
			t.Errorf("without %s: %v, expected damage in shard 3", name, err)
		}
		if err == nil {
			_ = l.Close()
		}
	}
}
