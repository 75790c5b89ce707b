package drivertest

import (
	"bytes"
	"context"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// lateWrite is a Write that was answered with ErrUnknown and is still under way.
type lateWrite struct {
	write driver.Write
	due   int // the number of the call that finds it done; 0: from Deliver only
}

// Pending returns how many writes of kind Late have not reached the store yet.
func (f *Faulty) Pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.late)
}

// Deliver hands the writes of kind Late that are still under way to the store,
// in the order in which they were sent, and returns the store's answers. A
// place may be taken by now: then the store refuses, and nothing else hears of
// it.
func (f *Faulty) Deliver(ctx context.Context) []error {
	f.mu.Lock()
	late := f.late
	f.late = nil
	f.mu.Unlock()
	return f.deliver(ctx, late)
}

func (f *Faulty) deliver(ctx context.Context, late []lateWrite) []error {
	var errs []error
	for _, l := range late {
		errs = append(errs, f.log.Write(ctx, l.write))
	}
	return errs
}

// postpone keeps a copy of w: its memory is the caller's again once it has an
// answer.
func (f *Faulty) postpone(w driver.Write, n int) {
	w = clone(w)
	f.mu.Lock()
	defer f.mu.Unlock()
	l := lateWrite{write: w}
	if n > 0 {
		l.due = f.total + n
	}
	f.late = append(f.late, l)
}

func clone(w driver.Write) driver.Write {
	w.Batches = slices.Clone(w.Batches)
	for i := range w.Batches {
		b := &w.Batches[i]
		b.Commits = slices.Clone(b.Commits)
		for j := range b.Commits {
			b.Commits[j].Data = bytes.Clone(b.Commits[j].Data)
			b.Commits[j].Keys = slices.Clone(b.Commits[j].Keys)
		}
	}
	w.Cells = slices.Clone(w.Cells)
	for i := range w.Cells {
		op := &w.Cells[i]
		op.Cell.Value = bytes.Clone(op.Cell.Value)
		if op.If != nil {
			op.If = new(*op.If)
		}
	}
	return w
}

// due takes out the late writes whose time has come. The caller holds the lock.
func (f *Faulty) due() []lateWrite {
	var due []lateWrite
	f.late = slices.DeleteFunc(f.late, func(l lateWrite) bool {
		if l.due == 0 || l.due > f.total {
			return false
		}
		due = append(due, l)
		return true
	})
	return due
}
