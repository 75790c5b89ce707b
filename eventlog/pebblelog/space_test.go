package pebblelog

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A smallDisk says how much is free.
type smallDisk struct {
	vfs.FS
	free  atomic.Uint64
	asked atomic.Int64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.asked.Add(1)
	return vfs.DiskUsage{AvailBytes: d.free.Load()}, nil
}

// TestDiskFull takes the reserve away: writes are refused, reads and checks go
// on, and when the space is back so are writes. The file system is not asked for
// each write.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDiskFull)
}

func testDiskFull(t *testing.T) {
	disk := &smallDisk{FS: vfs.NewMem()}
	disk.free.Store(11 << 20)
	l, err := Open("log", &Options{FS: disk, Reserve: 10 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i := range driver.Revision(1000) {
		mustWrite(t, l, nil, commit(0, i+1, "there", driver.Key{Name: "a", Pos: uint64(i + 1)}))
	}
	if n := disk.asked.Load(); n > 2 {
		t.Errorf("asked %d times in no time", n)
	}
	before := look(t, l)
	disk.free.Store(9 << 20)
	time.Sleep(spaceInterval)
	err = l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commit(0, 1001, "no room")}})
	if !errors.Is(err, driver.ErrDiskFull) || errors.Is(err, driver.ErrUnknown) || !strings.Contains(err.Error(), "log has 9437184 bytes free") {
		t.Errorf("%v, expected ErrDiskFull with the space that is left", err)
	}
	err = l.Write(t.Context(), driver.Write{Cells: []driver.CellOp{put("x", "", 1)}})
	if !errors.Is(err, driver.ErrDiskFull) {
		t.Errorf("a cell: %v, expected ErrDiskFull", err)
	}
	if err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{{Shard: 0, First: 1001}}}); err != nil {
		t.Errorf("a write that only checks: %v", err)
	}
	same(t, "on a full disk", look(t, l), before)
	disk.free.Store(11 << 20)
	time.Sleep(spaceInterval)
	mustWrite(t, l, nil, commit(0, 1001, "room again"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTablesCannotBeWritten lets flushes fail: writes are refused before they
// pile up, and resume by themselves when a flush succeeds.
func TestTablesCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testTablesCannotBeWritten)
}

func testTablesCannotBeWritten(t *testing.T) {
	f := &fault{err: syscall.ENOSPC, at: 1, on: true, match: func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".sst") }}
	l, err := Open("log", &Options{FS: errorfs.Wrap(vfs.NewMem(), f), MemTableSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	f.armed.Store(true)
	var rev driver.Revision
	for err == nil {
		rev++
		err = l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commit(0, rev, strings.Repeat("x", 10_000))}})
		if rev > 1000 {
			t.Fatal("10 MB were taken while nothing could be flushed")
		}
	}
	if !errors.Is(err, driver.ErrDiskFull) || errors.Is(err, driver.ErrUnknown) {
		t.Fatalf("%v, expected ErrDiskFull", err)
	}
	if tail, err := l.Tail(t.Context(), 0); tail != rev-1 || err != nil {
		t.Errorf("tail %d, %v; expected %d", tail, err, rev-1)
	}
	f.armed.Store(false)
	time.Sleep(2 * retryDelay)
	mustWrite(t, l, nil, commit(0, rev, "resumed"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
