package pebblelog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestWithdrawnWriteLeavesNothing ends the context of writes that wait for their
// turn: they return at once, nothing of them is written, and those behind them
// are.
func TestWithdrawnWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testWithdrawn)
}

func testWithdrawn(t *testing.T) {
	disk := &slowDisk{FS: vfs.NewMem()}
	l := mustOpen(t, &Options{FS: disk})
	disk.hold()
	first := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 1, "first")}})
	synctest.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	withdrawn := make(chan error, 2)
	withdraw := func(shard int) {
		go func() {
			withdrawn <- l.Write(ctx, driver.Write{Batches: []driver.Batch{commit(shard, 1, "withdrawn")}})
		}()
		synctest.Wait() // until it is in the queue
	}
	withdraw(1)
	behind := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 2, "behind")}})
	synctest.Wait()
	withdraw(2)
	cancel()
	for range 2 {
		if err := <-withdrawn; !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrUnknown) {
			t.Errorf("a write that was withdrawn: %v, expected context.Canceled", err)
		}
	}
	disk.release()
	if err := errors.Join(<-first, <-behind); err != nil {
		t.Fatal(err)
	}
	if s := look(t, l); s.Tails[0] != 2 || s.Tails[1] != 0 || s.Tails[2] != 0 {
		t.Errorf("tails %v, expected 2, 0, 0", s.Tails)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAllWithdrawn ends the lead when all who waited have gone.
func TestAllWithdrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{FS: vfs.NewMem()}
		l := mustOpen(t, &Options{FS: disk})
		disk.hold()
		first := answer(l, driver.Write{Batches: []driver.Batch{commit(0, 1, "first")}})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- l.Write(ctx, driver.Write{Batches: []driver.Batch{commit(0, 2, "gone")}}) }()
		synctest.Wait()
		cancel()
		<-gone
		disk.release()
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		mustWrite(t, l, nil, commit(0, 2, "next"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEngineGivesUp lets the engine call Fatalf, as it does on what it cannot
// handle. The process lives on, writes are refused, reads go on, Close returns.
func TestEngineGivesUp(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, &Options{FS: vfs.NewMem()})
	mustWrite(t, l, nil, commit(0, 1, "one", driver.Key{Name: "a", Pos: 1}))
	before := look(t, l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&engineLogger{log: quiet, failure: l.failure}).Fatalf("table %d is upside down", 7)
		t.Error("Fatalf returned into the engine")
	}()
	<-done
	var failed *FailedError
	err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commit(0, 2, "two")}})
	if !errors.As(err, &failed) || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("%v, expected a *FailedError", err)
	}
	same(t, "after the engine gave up", look(t, l), before)
	if err := l.Close(); !errors.As(err, &failed) {
		t.Errorf("Close: %v, expected a *FailedError", err)
	}
	if _, err := l.Tail(t.Context(), 0); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
