package remotelog

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// A badDisk fails the next so many operations that change a file.
type badDisk struct {
	suffix string         // of its name
	only   errorfs.OpKind // 0: any
	err    error
	mended int64 // nothing fails when the log was opened so often since; 0: however often
	fails  atomic.Int64
	opened atomic.Int64 // the log, to write, since it was to fail
}

func (*badDisk) String() string { return "bad disk" }

// fail lets the next n operations fail.
func (d *badDisk) fail(n int64) {
	d.opened.Store(0)
	d.fails.Store(n)
}

func (d *badDisk) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpCreate && strings.HasPrefix(filepath.Base(op.Path), "MANIFEST-") && d.opened.Add(1) == d.mended {
		d.fails.Store(0)
	}
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpLock || d.only > 0 && op.Kind != d.only || !strings.HasSuffix(op.Path, d.suffix) {
		return nil
	}
	if d.fails.Add(-1) < 0 {
		return nil
	}
	return d.err
}

const forever = 1 << 60

// A worker is a process that shares a directory.
type worker struct {
	*eventlog.Log
	store *Log
}

// onBadDisk opens a directory on a disk twice, as two processes that append to a stream:
// its owner and a client. All is to be over in 20 s.
func onBadDisk(t *testing.T, disk *badDisk, patience time.Duration) (ctx context.Context, owner, client worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	dir := filepath.Join(t.TempDir(), "log")
	open := func() worker {
		d := share(t, dir, Options{Patience: patience, Store: pebblelog.Options{FS: errorfs.Wrap(vfs.Default, disk), Reserve: -1}})
		l, err := eventlog.Open(ctx, d, &eventlog.Options{Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return worker{l, d}
	}
	owner, client = open(), open()
	if err := errors.Join(addNote(ctx, owner), addNote(ctx, client)); err != nil {
		t.Fatal(err)
	}
	return ctx, owner, client
}

// doomed begins an append under which the disk fails, from now on, and returns when it
// has failed.
func (w worker) doomed(ctx context.Context, disk *badDisk) (answer <-chan error) {
	disk.fail(forever)
	answer = begun(func() error { return addNote(ctx, w) })
	for disk.fails.Load() == forever {
		runtime.Gosched()
	}
	return answer
}

// refusesToWrite checks that a place in a shard of its own cannot be written, and why; the
// process stays where it is.
func (w worker) refusesToWrite(ctx context.Context, t *testing.T, want error) {
	t.Helper()
	before := w.store.at
	x := driver.Write{Batches: []driver.Batch{{Shard: 7, First: 1, Commits: []driver.Commit{{Revision: 1, Data: []byte("x")}}}}}
	if err := w.store.Write(ctx, x); !errors.Is(err, want) || errors.Is(err, errGone) || errors.Is(err, driver.ErrClosed) {
		t.Errorf("a write that is not begun: %v, expected %v", err, want)
	}
	if w.store.at != before {
		t.Error("its connection was given up")
	}
}

func ownerAt(w worker) *owner { return w.store.at.(*owner) }

func onlySession(t *testing.T, h *Handler) *session {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sessions) != 1 {
		t.Fatalf("%d sessions", len(h.sessions))
	}
	for s := range h.sessions {
		return s
	}
	return nil
}

func addNote(ctx context.Context, l worker) error {
	_, err := l.Append(ctx, "s", nil, note{"x"})
	return err
}

// hasNotes checks how many events the stream has: one of these numbers.
func hasNotes(ctx context.Context, t *testing.T, l worker, want ...int) {
	t.Helper()
	n := 0
	for _, err := range l.Read(ctx, eventlog.Query{Stream: "s"}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(want, n) {
		t.Errorf("%d events, expected %d", n, want)
	}
}

// TestFailedDirectoryIsOpenedAgain: when the disk fails under a write its owner gives the
// directory up. Everybody goes on with the next owner, who knows what has become of it.
func TestFailedDirectoryIsOpenedAgain(t *testing.T) {
	for _, who := range []string{"the owner", "a client"} {
		t.Run("under a write of "+who, func(t *testing.T) {
			t.Parallel()
			disk := &badDisk{suffix: ".log", only: errorfs.OpFileWrite, err: errors.New("injected")}
			ctx, owner, client := onBadDisk(t, disk, 0)
			disk.fail(1)
			writer := owner
			if who == "a client" {
				writer = client
			}
			if err := addNote(ctx, writer); err != nil {
				t.Errorf("a write under which the disk fails: %v", err)
			}
			if disk.fails.Load() >= 0 {
				t.Fatal("nothing has failed")
			}
			if err := errors.Join(addNote(ctx, owner), addNote(ctx, client)); err != nil {
				t.Fatal(err)
			}
			hasNotes(ctx, t, client, 5)
			if err := eventlog.Check(ctx, client.Log); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFailingDirectoryRests: a disk on which every write fails is opened again ever less
// often; when it is mended the write is done once.
func TestFailingDirectoryRests(t *testing.T) {
	t.Parallel()
	disk := &badDisk{suffix: ".log", only: errorfs.OpFileWrite, err: errors.New("injected"), mended: 6}
	ctx, _, client := onBadDisk(t, disk, 0)
	begin := time.Now()
	disk.fail(forever)
	if err := addNote(ctx, client); err != nil {
		t.Fatal(err)
	}
	// Two that take turns rest twice for 0, 50 and 100 ms, one for 0, 50, 100, 200 ms and more.
	if d := time.Since(begin); d < 300*time.Millisecond {
		t.Errorf("opened %d times in %v", disk.mended, d)
	}
	hasNotes(ctx, t, client, 3)
}

// TestFullDirectoryIsRead: where nothing can be written the directory is kept, and read by
// everybody; writers are told, and go on when there is room again.
func TestFullDirectoryIsRead(t *testing.T) {
	t.Parallel()
	disk := &badDisk{err: syscall.ENOSPC}
	ctx, owner, client := onBadDisk(t, disk, time.Second)
	short, cancel := context.WithCancel(ctx)
	answer := client.doomed(short, disk)
	for _, w := range []worker{owner, client} {
		w.refusesToWrite(ctx, t, driver.ErrDiskFull)
		hasNotes(ctx, t, w, 2)
	}
	cancel()
	if err := <-answer; !errors.Is(err, driver.ErrUnknown) { // until there is room, nobody knows
		t.Errorf("of the write under which the disk is full: %v", err)
	}
	if n := disk.opened.Load(); n > 0 {
		t.Errorf("opened %d times while nothing can be written", n)
	}
	disk.fail(0)
	for _, w := range []worker{owner, client} {
		for err := addNote(ctx, w); err != nil; err = addNote(ctx, w) {
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	hasNotes(ctx, t, client, 4, 5) // the first one may have come after all
}

// TestHopelessDirectoryIsRead: where the engine keeps the directory until the end of the
// process nobody waits, what was not begun is refused without doubt, and reads go on.
func TestHopelessDirectoryIsRead(t *testing.T) {
	t.Parallel()
	disk := &badDisk{suffix: ".log", only: errorfs.OpFileWrite, err: errors.New("injected")}
	ctx, owner, client := onBadDisk(t, disk, time.Hour)
	place := ownerAt(owner)
	place.recovers.Do(func() { close(place.hopeless) })
	if err := <-owner.doomed(ctx, disk); !errors.Is(err, driver.ErrUnknown) || !errors.Is(err, driver.ErrClosed) {
		t.Errorf("of the write under which the disk fails: %v", err)
	}
	for _, w := range []worker{owner, client} {
		if err := addNote(ctx, w); err == nil || errors.Is(err, driver.ErrUnknown) || errors.Is(err, errGone) {
			t.Errorf("an append: %v", err)
		}
		hasNotes(ctx, t, w, 2)
	}
}

// TestClientLeavesAFullDirectory: a client that goes away while its write is in doubt
// holds up nothing.
func TestClientLeavesAFullDirectory(t *testing.T) {
	t.Parallel()
	disk := &badDisk{err: syscall.ENOSPC}
	ctx, owner, client := onBadDisk(t, disk, time.Hour)
	session := onlySession(t, ownerAt(owner).handler)
	answer := client.doomed(ctx, disk)
	cutOff(client.store)
	select {
	case <-session.decided:
	case <-ctx.Done():
		t.Error("its session does not end")
	}
	disk.fail(0)
	if err := <-answer; err != nil { // the next owner knows
		t.Error(err)
	}
	hasNotes(ctx, t, client, 3)
}

// TestWriteWhileTheOwnerCloses: a write that comes to an owner whose handler is closed
// has reached nobody.
func TestWriteWhileTheOwnerCloses(t *testing.T) {
	t.Parallel()
	l := share(t, t.TempDir(), Options{})
	w := l.at.(*owner)
	if err := w.handler.Close(); err != nil {
		t.Fatal(err)
	}
	x := put(1, 10)
	if err := w.write(t.Context(), &x); !errors.Is(err, errGone) || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("%v, expected errGone", err)
	}
}
