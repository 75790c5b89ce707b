package pebblelog

import (
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestStartInOrder: Writes are decided on in the order in which they are started,
// whoever waits first; one behind another that is refused is refused as well.
func TestStartInOrder(t *testing.T) {
	t.Parallel()
	l, err := Open(t.TempDir(), &Options{MemTableSize: 1 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one := func(rev driver.Revision, cells ...driver.CellOp) driver.Write {
		return driver.Write{Batches: []driver.Batch{{First: rev, Commits: []driver.Commit{{Revision: rev, Data: []byte("x")}}}}, Cells: cells}
	}
	absent := uint64(1)
	first, second := l.Start(t.Context(), one(1)), l.Start(t.Context(), one(2))
	refused, behind := l.Start(t.Context(), one(3, driver.CellOp{If: &absent, Cell: driver.Cell{Key: "c"}})), l.Start(t.Context(), one(4))
	last := make(chan error)
	go func() { last <- behind() }()
	waits := []func() error{second, refused, first}
	answers := make(chan error, len(waits))
	for _, wait := range waits {
		go func() { answers <- wait() }()
	}
	var cell *driver.CellError
	var tail *driver.TailError
	for range waits {
		if err := <-answers; err != nil && !errors.As(err, &cell) {
			t.Error(err)
		}
	}
	if err := <-last; !errors.As(err, &tail) || tail.Tail != 2 || cell == nil {
		t.Errorf("behind a refused one (%v): %v", cell, err)
	}
}
