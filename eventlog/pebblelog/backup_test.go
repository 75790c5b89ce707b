package pebblelog

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestBackup makes backups while 16 writers write. Each holds what was
// acknowledged before it, opens as a log and takes writes of its own, which the
// first log does not see.
func TestBackup(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	l := mustOpen(t, &Options{FS: disk, MemTableSize: 1 << 20})
	h, ended := newHistory(1000), make(chan struct{})
	var stop atomic.Bool
	go func() { defer close(ended); h.run(l, 16, func() bool { return !stop.Load() }) }()
	var pictures []picture
	for _, dir := range []string{"backups/1", "backups/2", "backups/3"} {
		if err := h.await(500, ended); err != nil {
			t.Fatal(err)
		}
		past := h.now()
		if err := l.Backup(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, picture{past: past, dir: dir})
	}
	stop.Store(true)
	<-ended
	after := disk.CrashClone(vfs.CrashCloneCfg{}) // a backup is synced
	for _, p := range pictures {
		p.disk = after
		if err := p.verify(Options{}); err != nil {
			t.Errorf("%s: %v", p.dir, err)
		}
	}
	if err := l.Backup(t.Context(), "backups/1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("backup over a backup: %v, expected fs.ErrExist", err)
	}
	want := look(t, l)
	b, err := Open("backups/3", &Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	tail, _ := b.Tail(t.Context(), 0)
	mustWrite(t, b, nil, commit(0, tail+1, "only in the backup"))
	same(t, "after a write to a backup", look(t, l), want)
	if err := errors.Join(b.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestBackupFails runs a backup into a full disk: it is an error, nothing that
// opens is left, and the log itself goes on.
func TestBackupFails(t *testing.T) {
	t.Parallel()
	for at := int64(1); ; at++ {
		f := &fault{err: syscall.ENOSPC, at: at, match: func(op errorfs.Op) bool { return strings.HasPrefix(op.Path, "backup") }}
		o := &Options{FS: errorfs.Wrap(vfs.NewMem(), f)}
		l := mustOpen(t, o)
		mustWrite(t, l, nil, commit(0, 1, "one"))
		f.armed.Store(true)
		err := l.Backup(t.Context(), "backup/1")
		f.armed.Store(false)
		mustWrite(t, l, nil, commit(0, 2, "two"))
		if f.hits.Load() == 0 {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations", at-1)
			l.Close()
			return
		}
		if b, openErr := Open("backup/1", &Options{FS: o.FS, MustExist: true}); err != nil && openErr == nil {
			b.Close()
			t.Errorf("operation %d failed the backup with %v, and it opens", at, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBackupCancelled leaves nothing behind.
func TestBackupCancelled(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, &Options{FS: disk})
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Backup(ctx, "backup"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, expected context.Canceled", err)
	}
	if _, err := disk.Stat("backup"); !isNotExist(err) {
		t.Errorf("the directory of a cancelled backup: %v", err)
	}
}

// TestRestore restores a backup, and refuses a damaged one.
func TestRestore(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	o := &Options{FS: disk, Compression: Fastest}
	l := mustOpen(t, o)
	corruptFill(t, l, 1, 200)
	if err := l.db.Flush(); err != nil {
		t.Fatal(err)
	}
	corruptFill(t, l, 201, 250)
	want := look3(t, l)
	if err := l.Backup(t.Context(), "backup"); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), "backup", "restored", o); err != nil {
		t.Fatal(err)
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{})
	r, err := Open("restored", &Options{FS: after})
	if err != nil {
		t.Fatal(err)
	}
	if got := look3(t, r); got != want {
		t.Errorf("restored:\n%s\nexpected:\n%s", got, want)
	}
	if err := errors.Join(r.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}

	if err := Restore(t.Context(), "backup", "log", o); !errors.Is(err, fs.ErrExist) {
		t.Errorf("restore over a log: %v, expected fs.ErrExist", err)
	}
	if err := Restore(t.Context(), "nowhere", "other", o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("restore of nothing: %v, expected fs.ErrNotExist", err)
	}
	names, err := disk.List("backup")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			flip(t, disk, "backup/"+name, 100)
		}
	}
	if err := Restore(t.Context(), "backup", "other", o); !errors.Is(err, driver.ErrCorrupt) {
		t.Errorf("restore of a damaged backup: %v, expected ErrCorrupt", err)
	}
	if _, err := disk.Stat("other"); !isNotExist(err) {
		t.Errorf("the directory of a refused restore: %v", err)
	}
}

func look3(t *testing.T, l *Log) string {
	var b strings.Builder
	for c, err := range l.Find(t.Context(), 3, "a", driver.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		b.Write(c.Data)
	}
	return b.String()
}

// TestBackupIsDurableInTheLog stops the disk: a backup may hold a write that is
// being synced, so it is not done before the write is durable in the log itself.
func TestBackupIsDurableInTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{FS: vfs.NewMem()}
		l := mustOpen(t, &Options{FS: disk})
		disk.hold()
		written := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 1, "one")}})
		synctest.Wait()
		backup := make(chan error, 1)
		go func() { backup <- l.Backup(t.Context(), "backup") }()
		synctest.Wait()
		select {
		case err := <-backup:
			t.Errorf("the backup is done while the disk stands still: %v", err)
		default:
		}
		disk.release()
		if err := errors.Join(<-written, <-backup, l.Close()); err != nil {
			t.Fatal(err)
		}
	})
}
