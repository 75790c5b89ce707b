package drivertest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var handlePromises = []storePromise{
	{"ReopenKeeps", "A store that was closed and is opened again has everything, and goes on behind it.", testReopenKeeps},
	{"ReopenAfterLoad", "What was acknowledged before or while the store was closed is there when it is opened again, and nothing that was refused.", testReopenAfterLoad},
	{"HandlesShare", "Handles of one store that are not exclusive see each other's writes as soon as they are acknowledged.", testHandlesShare},
	{"HandlesRace", "Of writers that race for one place through several handles exactly one wins.", testHandlesRace},
	{"HandlesWatch", "Watch tells of the writes of other handles, or yields nothing and returns.", testHandlesWatch},
	{"HandlesClose", "Closing a handle leaves the others open.", testHandlesClose},
}

func closed(t *testing.T, log driver.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func testReopenKeeps(t *testing.T, open func(*testing.T) driver.Log) {
	log := open(t)
	closed(t, log)
	log = open(t) // empty
	equal(t, "tail of an empty store", tail(t, log, 0), driver.Revision(0))
	iterable(t, log)
	write(t, log, batch(3, 1, long(driver.MaxCommit, "x"), "b"), batch(1_000, 1, "c"))
	writeCells(t, log, remove("cell/03"), put("cell/04", "new", 2), put("ä/#", "", 1<<62))
	refused(t, log, request([]driver.Batch{batch(3, 2, "lost")}, put("lost", "", 1)), 3)
	before := look(t, log, 0, 1, 3, 1_000)
	for range 2 {
		closed(t, log)
		log = open(t)
		equal(t, "state after reopening", look(t, log, 0, 1, 3, 1_000), before)
	}
	behind(t, refused(t, log, request([]driver.Batch{batch(3, 2, "late")}), 3), 3, 2)
	otherVersion(t, refused(t, log, request(nil, when(1, put("cell/04", "", 3))), 0), "cell/04", 2)
	write(t, log, batch(3, 3, "behind"))
	equal(t, "tail", tail(t, log, 3), driver.Revision(3))
}

func testReopenAfterLoad(t *testing.T, open func(*testing.T) driver.Log) {
	acked, unknown := closeUnderLoad(t, open(t))
	log := open(t)
	for shard, rev := range acked {
		got := tail(t, log, shard)
		if got != rev && (!unknown[shard] || got != rev+1) {
			t.Errorf("shard %d has tail %d, acknowledged was %d, answer unknown: %v", shard, got, rev, unknown[shard])
		}
		for _, r := range look(t, log, shard).Rows[shard] {
			equal(t, "data", r.Data, text(r.Revision))
		}
	}
}

// shared returns n handles that are open at once; false when handles are
// exclusive, so that there is nothing to test.
func shared(t *testing.T, open func(*testing.T) driver.Log, n int) ([]driver.Log, bool) {
	logs := []driver.Log{open(t)}
	if logs[0].Exclusive() {
		return nil, false
	}
	for len(logs) < n {
		logs = append(logs, open(t))
	}
	return logs, true
}

func testHandlesShare(t *testing.T, open func(*testing.T) driver.Log) {
	logs, ok := shared(t, open, 3)
	if !ok {
		return
	}
	for rev := driver.Revision(1); rev <= 15; rev++ {
		k := driver.Key{Name: "k", Pos: uint64(rev) * 3}
		w := request([]driver.Batch{keyed(0, rev, text(rev), k), keyed(1, rev, text(rev), k)}, put("cell", text(rev), uint64(rev)))
		if err := logs[int(rev)%3].Write(t.Context(), w); err != nil {
			t.Fatalf("write through handle %d: %v", int(rev)%3, err)
		}
		for i, log := range logs {
			if err := seen(t, log, rev); err != nil {
				t.Fatalf("handle %d, written through %d: %v", i, int(rev)%3, err)
			}
		}
		behind(t, refused(t, logs[int(rev+1)%3], w, 0, 1), 0, rev)
	}
}

func testHandlesRace(t *testing.T, open func(*testing.T) driver.Log) {
	logs, ok := shared(t, open, 4)
	if !ok {
		return
	}
	for rev := driver.Revision(1); rev <= 10; rev++ {
		var wins atomic.Int32
		together(t, 16, func(i int) error {
			w := request([]driver.Batch{batch(0, rev, fmt.Sprintf("writer %d at %d", i, rev))})
			ok, err := won(t.Context(), logs[i%4], w)
			if ok {
				wins.Add(1)
			}
			return err
		})
		equal(t, "winners", wins.Load(), int32(1))
		for _, log := range logs {
			equal(t, "tail", tail(t, log, 0), rev)
		}
	}
}

func testHandlesWatch(t *testing.T, open func(*testing.T) driver.Log) {
	if logs, ok := shared(t, open, 2); ok {
		watched(t, logs[0], logs[1])
	}
}

func testHandlesClose(t *testing.T, open func(*testing.T) driver.Log) {
	logs, ok := shared(t, open, 2)
	if !ok {
		return
	}
	write(t, logs[0], batch(0, 1, "a"))
	closed(t, logs[0])
	writeOut(t, logs[1], batch(0, 2, "b"))
	equal(t, "commits", look(t, logs[1], 0).Rows[0], []row{{1, "a"}, {2, "b"}})
}

// writeOut repeats a write of one commit until its outcome is known: whoever had the
// store for the others may just have left.
func writeOut(t *testing.T, log driver.Log, b driver.Batch) {
	t.Helper()
	w, unknown := request([]driver.Batch{b}), false
	for {
		err := log.Write(t.Context(), w)
		var late *driver.TailError
		switch {
		case errors.Is(err, driver.ErrUnknown):
			unknown = true
		case unknown && errors.As(err, &late) && late.Tail == b.First:
			return
		case err != nil:
			t.Fatalf("write: %v", err)
		default:
			return
		}
	}
}
