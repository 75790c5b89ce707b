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
		found, n, step := 0, 0, max(1, size/int64(rounds(12)))
		for at := rand.Int64N(step); at < size; at += step {
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
