package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestFlippedBytesAreFound flips many bytes of all files, one at a time: the log
// does not open, or reads end in an error that names what is damaged, or nothing
// that is stored was hit. Nothing false is served and nothing is missing; but after
// a crash the last record of the write-ahead log cannot be told from a write that
// was cut short.
func TestFlippedBytesAreFound(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	o := &Options{FS: disk, Compression: Fastest}
	t.Run("first log after a crash", func(t *testing.T) {
		l := mustOpen(t, o)
		corruptFill(t, l, 1, 100)
		flipEach(t, disk.CrashClone(vfs.CrashCloneCfg{}), ".log", 100, 1)
		if err := errors.Join(l.db.Flush(), l.Close()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("after a crash", func(t *testing.T) {
		l := mustOpen(t, o)
		corruptFill(t, l, 101, 170)
		if err := l.db.Flush(); err != nil {
			t.Fatal(err)
		}
		corruptFill(t, l, 171, corruptCommits)
		flipEach(t, disk.CrashClone(vfs.CrashCloneCfg{}), "", corruptCommits, 1)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("after Close", func(t *testing.T) {
		flipEach(t, disk.CrashClone(vfs.CrashCloneCfg{}), "", corruptCommits, 0)
	})
}

const corruptCommits = 240

func corruptFill(t *testing.T, l *Log, from, to driver.Revision) {
	for rev := from; rev <= to; rev++ {
		mustWrite(t, l, nil, commit(3, rev, corruptText(rev), driver.Key{Name: "a", Pos: uint64(rev)}))
	}
}

func mustOpen(t *testing.T, o *Options) *Log {
	t.Helper()
	l, err := Open("log", o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// flipEach flips bytes of each file with the suffix, all over it. The log has so
// many commits, of which the last ones may be missing.
func flipEach(t *testing.T, disk *vfs.MemFS, suffix string, commits, spare driver.Revision) {
	t.Helper()
	names, err := disk.List("log")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := readAll(disk, "log/"+name)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(len(strings.TrimRight(text, "\x00")))
		if size == 0 || !strings.HasSuffix(name, suffix) {
			continue
		}
		found, n, step := 0, 0, max(1, size/int64(rounds(12)/max(1, rounds(1)/10)))
		places := []int64{size - 1, size - min(size, 20), size - min(size, 60), size - min(size, 150)} // the last records
		for at := rand.Int64N(step); at < size; at += step {
			places = append(places, at)
		}
		for _, at := range places {
			damaged := disk.CrashClone(vfs.CrashCloneCfg{})
			flip(t, damaged, "log/"+name, at)
			hit, err := readDamaged(damaged, commits, spare)
			if err != nil {
				t.Errorf("byte %d of %s: %v", at, name, err)
			}
			if n++; hit {
				found++
			}
		}
		t.Logf("%s: %d of %d bytes flipped, %d found", name, n, size, found)
	}
}

func corruptText(rev driver.Revision) string {
	return fmt.Sprintf("commit %d %s", rev, strings.Repeat(fmt.Sprint(uint64(rev)*0x9e3779b97f4a7c15), 10))
}

func readAll(disk vfs.FS, name string) (string, error) {
	f, err := disk.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

func flip(t *testing.T, disk vfs.FS, name string, at int64) {
	t.Helper()
	f, err := disk.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << rand.IntN(8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// readDamaged reports whether damage was found, and an error when it was served.
func readDamaged(disk vfs.FS, commits, spare driver.Revision) (found bool, err error) {
	l, err := Open("log", &Options{FS: disk})
	if err != nil {
		return true, nil
	}
	defer l.Close()
	ctx := context.Background()
	tail, err := l.Tail(ctx, 3)
	if err != nil || tail+spare < commits {
		return false, fmt.Errorf("tail %d, %v", tail, err)
	}
	for i, seq := range []iter.Seq2[driver.Commit, error]{
		l.Read(ctx, 3, driver.Range{}), l.Read(ctx, 3, driver.Range{Backward: true}), l.Find(ctx, 3, "a", driver.Range{}),
	} {
		n := driver.Revision(0)
		for c, err := range seq {
			if err != nil {
				return true, namesDamage(err, i < 2)
			}
			if string(c.Data) != corruptText(c.Revision) {
				return false, fmt.Errorf("revision %d reads %q", c.Revision, c.Data)
			}
			n++
		}
		if n != tail {
			return false, fmt.Errorf("%d commits of %d", n, tail)
		}
	}
	return false, nil
}

// namesDamage returns an error when err does not say that it is corruption, and
// where.
func namesDamage(err error, commit bool) error {
	var named *driver.CorruptError
	if !errors.Is(err, driver.ErrCorrupt) || commit && (!errors.As(err, &named) || named.Shard != 3 || named.Revision == 0) {
		return fmt.Errorf("%w does not name the damage", err)
	}
	return nil
}

// TestMissingCommitIsFound takes commits away behind the log's back: reads name
// the one that is missing, wherever it is.
func TestMissingCommitIsFound(t *testing.T) {
	t.Parallel()
	for _, gone := range []driver.Revision{1, 50, 100} {
		l := mustOpen(t, &Options{FS: vfs.NewMem()})
		corruptFill(t, l, 1, 100)
		if err := l.db.Delete(appendCommitKey(nil, 3, gone), nil); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		for name, seq := range map[string]iter.Seq2[driver.Commit, error]{
			"Read":          l.Read(ctx, 3, driver.Range{}),
			"Read backward": l.Read(ctx, 3, driver.Range{Backward: true}),
			"Read of it":    l.Read(ctx, 3, driver.Range{From: uint64(gone), To: uint64(gone + 1)}),
			"Find":          l.Find(ctx, 3, "a", driver.Range{}),
		} {
			var end error
			for c, err := range seq {
				if end = err; err == nil && c.Revision == gone {
					t.Errorf("%s: revision %d is there", name, gone)
				}
			}
			var named *driver.CorruptError
			if !errors.As(end, &named) || named.Shard != 3 || named.Revision != gone {
				t.Errorf("%s ends with %v, expected a *CorruptError of revision %d", name, end, gone)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLostEndIsFound puts an old manifest in the place of the new one, and takes
// the write-ahead log away: the end of the log is missing in a way that the engine
// cannot notice. It would remove the table that its manifest does not name.
func TestLostEndIsFound(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, &Options{FS: disk})
	corruptFill(t, l, 1, 100)
	old := files(t, disk)
	if err := errors.Join(l.db.Flush(), l.Close()); err != nil {
		t.Fatal(err)
	}
	for name := range files(t, disk) {
		var err error
		switch {
		case isLog(name):
			err = disk.Remove("log/" + name)
		case strings.HasPrefix(name, "MANIFEST-"):
			err = replaceFile(disk, "log", name, old[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, disk)
	var named *driver.CorruptError
	if _, err := Open("log", &Options{FS: disk}); !errors.As(err, &named) || named.Shard != 3 || named.Revision != 1 {
		t.Errorf("%v, expected a *CorruptError of revision 1", err)
	}
	after := files(t, disk)
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s was removed by an Open that failed", name)
		}
	}
}
