package pebblelog

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A fault fails operations that write in the log's directory.
type fault struct {
	err   error
	match func(errorfs.Op) bool
	at    int64 // the n-th matching operation fails,
	on    bool  // and all after it

	armed atomic.Bool
	seen  atomic.Int64
	hits  atomic.Int64
}

var errDisk = errors.New("injected")

func (f *fault) String() string { return fmt.Sprintf("operation %d, all after it: %v", f.at, f.on) }

func (f *fault) MaybeError(op errorfs.Op) error {
	if !f.armed.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || (f.match != nil && !f.match(op)) {
		return nil
	}
	if n := f.seen.Add(1); n == f.at || (f.on && n > f.at) {
		f.hits.Add(1)
		return fmt.Errorf("%w at %s", f.err, op.Path)
	}
	return nil
}

// TestEveryFailedOperation fails the first, second, third … write of any kind,
// once or for ever, under eight writers. Every Write is answered, Close returns,
// reads go on meanwhile, and what was acknowledged is there: at once, after a new
// Open, and after a power cut.
func TestEveryFailedOperation(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	failed := 0
	for i := range rounds(12) {
		f := &fault{err: errDisk, at: 1 + rng.Int64N(int64(10+40*i)), on: i%2 == 0}
		synctest.Test(t, func(t *testing.T) {
			if survives(t, f, 300) {
				failed++
			}
		})
	}
	if failed == 0 {
		t.Error("no directory failed: this test tests nothing")
	}
}

// survives runs writers into a fault, for so many answers, and reports whether the directory failed.
func survives(t *testing.T, f *fault, answers int) bool {
	disk := vfs.NewCrashableMem()
	o := &Options{FS: errorfs.Wrap(disk, f), MemTableSize: 1 << 20, CacheSize: 1 << 20}
	l, err := Open("log", o)
	if err != nil {
		t.Fatal(err)
	}
	f.armed.Store(true)
	h := newHistory(8000)
	h.run(l, 8, func() bool { return h.count() < answers })
	past := h.now()
	broken := l.failure.failed()
	if err := verify(l, past); err != nil {
		t.Errorf("%v: before Close: %v", f, err)
	}
	if broken {
		refusesWrites(t, l, past)
	}
	cut := picture{past: past, disk: disk.CrashClone(vfs.CrashCloneCfg{})}
	if err := cut.verify(Options{}); err != nil {
		t.Errorf("%v: after a power cut: %v", f, err)
	}
	_ = l.Close() // may say what failed
	f.armed.Store(false)
	again := picture{past: past, disk: disk}
	if err := again.verify(Options{}); err != nil {
		t.Errorf("%v: after a new Open: %v", f, err)
	}
	return broken
}

// refusesWrites checks the answers of a directory that has failed: unknown for
// what was under way, and nothing written for everything else.
func refusesWrites(t *testing.T, l *Log, past map[int]attempt) {
	t.Helper()
	var failed *FailedError
	err := l.Write(t.Context(), driver.Write{ID: [16]byte{15: 1}, Batches: []driver.Batch{commit(0, 1, "more")}})
	if !errors.As(err, &failed) || errors.Is(err, driver.ErrUnknown) || !errors.Is(err, driver.ErrClosed) {
		t.Errorf("a write after the failure: %v, expected a *FailedError that wraps ErrClosed", err)
	}
	for n, a := range past {
		if a.done && errors.Is(a.answer, driver.ErrUnknown) {
			if err := l.Write(t.Context(), a.write); !errors.Is(err, driver.ErrUnknown) {
				t.Errorf("attempt %d was unknown, repeated it is %v", n, err)
			}
		}
	}
}

// TestFailureOfEachFile fails one kind of operation for ever and looks at what
// becomes of the directory.
func TestFailureOfEachFile(t *testing.T) {
	t.Parallel()
	on := func(suffix string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
		return func(op errorfs.Op) bool {
			for _, k := range kinds {
				if op.Kind == k && strings.Contains(op.Path, suffix) {
					return true
				}
			}
			return false
		}
	}
	for _, c := range []struct {
		name  string
		match func(errorfs.Op) bool
		fails bool // the directory fails; otherwise writes go on or resume
	}{
		{"log sync", on(".log", errorfs.OpFileSync, errorfs.OpFileSyncData), true},
		{"log write", on(".log", errorfs.OpFileWrite), true},
		{"log prepare", on(".log", errorfs.OpFileWriteAt), true},
		{"log create", on(".log", errorfs.OpCreate, errorfs.OpReuseForWrite), true},
		{"manifest write", on("MANIFEST", errorfs.OpFileWrite), true},
		{"manifest sync", on("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData), true},
		{"table create", on(".sst", errorfs.OpCreate), false},
		{"table write", on(".sst", errorfs.OpFileWrite), false},
		{"table sync", on(".sst", errorfs.OpFileSync, errorfs.OpFileSyncData), false},
		{"remove", on("", errorfs.OpRemove), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fault{err: syscall.ENOSPC, match: c.match, at: 1, on: true}
				if got := survives(t, f, 600); got != c.fails {
					t.Errorf("the directory failed: %v, expected %v", got, c.fails)
				}
				if f.hits.Load() == 0 {
					t.Error("nothing was injected: this test tests nothing")
				}
			})
		})
	}
}

// TestFrozenAfterFailure lets a directory fail and the engine then do all that it
// may do by itself: no file that was there is gone or changed, so the next Open
// finds what it knew.
func TestFrozenAfterFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFrozen)
}

func testFrozen(t *testing.T) {
	disk := vfs.NewMem()
	l := mustOpen(t, &Options{FS: disk})
	for i := range driver.Revision(10) {
		corruptFill(t, l, 10*i+1, 10*i+10)
		if err := l.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	corruptFill(t, l, 101, 110)
	synctest.Wait() // for compactions and removals under way
	before := files(t, disk)
	l.failure.set(errDisk)
	if err := errors.Join(l.db.Flush(), l.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false)); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	after := files(t, disk)
	for name, text := range before {
		if got, ok := after[name]; name != ownerFile && (!ok || got != text) {
			t.Errorf("%s has gone or changed: %d bytes, then %d", name, len(text), len(got))
		}
	}
	l = mustOpen(t, &Options{FS: disk})
	if tail, err := l.Tail(t.Context(), 3); tail != 110 || err != nil {
		t.Errorf("tail %d, %v; expected 110", tail, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMended: a directory that has failed is worth opening again when something can be
// written there, and never when the engine may have files open; asking leaves nothing.
func TestMended(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	var kind atomic.Int64 // of the operation on the probe that fails
	bad := &fault{err: syscall.EIO, at: 1, on: true, match: func(op errorfs.Op) bool {
		return disk.PathBase(op.Path) == probeFile && int64(op.Kind) == kind.Load()
	}}
	kind.Store(-1)
	bad.armed.Store(true)
	f := &fault{err: syscall.ENOSPC, at: 1, on: true}
	l := mustOpen(t, &Options{FS: errorfs.Wrap(errorfs.Wrap(disk, f), bad), Reserve: -1})
	if err := l.Mended(); err != nil {
		t.Errorf("of one that has not failed: %v", err)
	}
	mustWrite(t, l, nil, commit(0, 1, "x"))
	f.armed.Store(true)
	w := driver.Write{Batches: []driver.Batch{commit(0, 2, "y")}}
	if err := l.Write(t.Context(), w); !errors.Is(err, driver.ErrClosed) {
		t.Fatalf("the directory did not fail: %v", err)
	}
	before := files(t, disk)
	if err := l.Mended(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("while nothing can be written: %v", err)
	}
	f.armed.Store(false)
	for _, k := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync} {
		kind.Store(int64(k))
		if err := l.Mended(); !errors.Is(err, syscall.EIO) {
			t.Errorf("while operation %d fails: %v", k, err)
		}
	}
	kind.Store(-1)
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: probeSize + 10, TotalBytes: 1 << 30})
	if err := l.Mended(); !errors.Is(err, driver.ErrDiskFull) {
		t.Errorf("while there is no room for tables: %v", err)
	}
	disk.TestingSetDiskUsage(vfs.DiskUsage{})
	if err := l.Mended(); err != nil {
		t.Errorf("when it can: %v", err)
	}
	if after := files(t, disk); !maps.Equal(after, before) {
		t.Errorf("files %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	_ = l.Close() // it says what has failed
	l = mustOpen(t, &Options{FS: disk})
	l.failure.set(errDisk)
	l.failure.set(fatalError{errors.New("upside down")})
	if err := l.Mended(); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("of an engine that has given up: %v", err)
	}
}

func files(t *testing.T, disk vfs.FS) map[string]string {
	t.Helper()
	names, err := disk.List("log")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, name := range names {
		if m[name], err = readAll(disk, "log/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestFailedSyncIsNotRetried fails one sync of the log. The next one would succeed,
// and would say nothing about what the first one has lost: there is none.
func TestFailedSyncIsNotRetried(t *testing.T) {
	t.Parallel()
	f := &fault{err: errDisk, at: 1, match: func(op errorfs.Op) bool {
		return isLog(op.Path) && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData)
	}}
	l := mustOpen(t, &Options{FS: errorfs.Wrap(vfs.NewMem(), f)})
	f.armed.Store(true)
	for i := range driver.Revision(3) {
		err := l.Write(t.Context(), driver.Write{ID: [16]byte{byte(i)}, Batches: []driver.Batch{commit(0, i+1, "lost")}})
		if unknown := errors.Is(err, driver.ErrUnknown); err == nil || unknown != (i == 0) {
			t.Errorf("write %d: %v", i+1, err)
		}
	}
	if err := l.db.Flush(); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	if n := f.seen.Load(); n != 1 {
		t.Errorf("%d syncs of logs after the first that failed", n-1)
	}
}
