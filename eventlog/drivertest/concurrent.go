package drivertest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// together runs f n times at once, each with its number, waits for all, and
// fails the test with their errors.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what must not wait.
var patience = time.Minute

// prompt runs f, and ends the program with all goroutines' stacks when f does
// not return: they show who waits for whom.
func prompt(t *testing.T, what string, f func()) {
	t.Helper()
	watchdog := time.AfterFunc(patience, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("%s: %s: still waiting after %s", t.Name(), what, patience))
	})
	defer watchdog.Stop()
	f()
}

// won writes w and reports whether it took its place. After ErrUnknown it
// repeats w until it is refused, and reads who is at its place: the first
// commit of each writer must have data that no other writer has.
func won(ctx context.Context, log driver.Log, w driver.Write) (bool, error) {
	for {
		err := log.Write(ctx, w)
		var tail *driver.TailError
		var cell *driver.CellError
		switch {
		case err == nil:
			return true, nil
		case errors.As(err, &tail), errors.As(err, &cell):
			if err := rightNews(ctx, log, w, err); err != nil {
				return false, err
			}
			return holdsPlace(ctx, log, w.Batches)
		case !errors.Is(err, driver.ErrUnknown):
			return false, fmt.Errorf("neither done nor refused by tail or cell: %w", err)
		}
	}
}

// holdsPlace reports whether the commit at the place of the first batch that has
// commits is that batch's own.
func holdsPlace(ctx context.Context, log driver.Log, batches []driver.Batch) (bool, error) {
	for _, b := range batches {
		if len(b.Commits) == 0 {
			continue
		}
		for c, err := range log.Read(ctx, b.Shard, driver.Range{From: uint64(b.First), Limit: 1}) {
			return err == nil && string(c.Data) == string(b.Commits[0].Data), err
		}
	}
	return false, nil
}

// readGapless reads a shard from the start and returns how far it came; a hole
// or a repetition is an error.
func readGapless(ctx context.Context, log driver.Log, shard int) (driver.Revision, error) {
	var last driver.Revision
	for c, err := range log.Read(ctx, shard, driver.Range{}) {
		if err != nil {
			return last, err
		}
		if c.Revision != last+1 {
			return last, fmt.Errorf("shard %d: revision %d follows %d", shard, c.Revision, last)
		}
		last = c.Revision
	}
	return last, nil
}
