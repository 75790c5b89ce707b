package drivertest_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var brokenWriters = map[string]mutant{
	"refuses nothing": {promises: []string{"WriteNothing"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if len(w.Batches)+len(w.Cells) == 0 {
				return errors.New("empty write")
			}
			return log.Write(ctx, w)
		})},
	"writes commits or cells": {promises: []string{"WriteCommitsAndCells", "RefuseByCell", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if len(w.Batches) > 0 {
				w.Cells = nil
			}
			return log.Write(ctx, w)
		})},
	"appends blindly": {promises: []string{"RefusePlaceTaken", "RefuseGap", "RefuseRepeated", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			return log.Write(ctx, place(ctx, log, w))
		})},
	"checks, then writes": {promises: []string{"RaceForPlace", "GapFree"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			for _, b := range w.Batches {
				if tail, err := log.Tail(ctx, b.Shard); err != nil || tail != b.First-1 {
					return log.Write(ctx, w)
				}
			}
			runtime.Gosched()
			for {
				err := log.Write(ctx, place(ctx, log, w))
				if tail := new(driver.TailError); !errors.As(err, &tail) {
					return err
				}
			}
		})},
	"writes shard by shard": {promises: []string{"RefuseOneOfSeveral", "Whole", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			for _, b := range w.Batches {
				if err := log.Write(ctx, driver.Write{Batches: []driver.Batch{b}}); err != nil {
					return err
				}
				runtime.Gosched()
			}
			return log.Write(ctx, driver.Write{Cells: w.Cells})
		})},
	"writes cells first": {promises: []string{"RefuseCellsByTail", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if err := log.Write(ctx, driver.Write{Cells: w.Cells}); err != nil {
				return err
			}
			return log.Write(ctx, driver.Write{Batches: w.Batches})
		})},
	"writes commits first": {promises: []string{"RefuseByCell", "RaceForCell", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if err := log.Write(ctx, driver.Write{Batches: w.Batches}); err != nil {
				return err
			}
			return log.Write(ctx, driver.Write{Cells: w.Cells})
		})},
	"ignores checks of tails": {promises: []string{"WriteChecksTail", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			w.Batches = slices.DeleteFunc(slices.Clone(w.Batches), func(b driver.Batch) bool { return len(b.Commits) == 0 })
			return log.Write(ctx, w)
		})},
	"takes absent for any": {promises: []string{"CellConditions", "RefuseByCell", "NamesOfCells", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			w.Cells = slices.Clone(w.Cells)
			for i := range w.Cells {
				if op := &w.Cells[i]; op.If != nil && *op.If == 0 {
					op.If = nil
				}
			}
			if strings.HasPrefix(firstCell(w), "\x01") { // one name lost, for NamesOfCells
				w.Cells = w.Cells[1:]
			}
			return log.Write(ctx, w)
		})},
	"does not delete": {promises: []string{"CellDelete", "NamesOfCells", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			w.Cells = slices.Clone(w.Cells)
			for i := range w.Cells {
				if w.Cells[i].Op == driver.Delete {
					w.Cells[i].Op = driver.Check
				}
			}
			return log.Write(ctx, w)
		})},
	"forgives repetition": {promises: []string{"RefuseRepeated", "Model"},
		wrap: func(log driver.Log) driver.Log {
			var done sync.Map
			return onWrite{log, func(ctx context.Context, log driver.Log, w driver.Write) error {
				err := log.Write(ctx, w)
				if err == nil {
					done.Store(w.ID, true)
				} else if _, ok := done.Load(w.ID); ok {
					return nil
				}
				return err
			}}
		}},
	"names the wrong tail": {promises: []string{"RefusePlaceTaken", "RefuseOneOfSeveral", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			err := log.Write(ctx, w)
			if tail := new(driver.TailError); errors.As(err, &tail) {
				return &driver.TailError{Shard: tail.Shard, Tail: tail.Tail - 1}
			}
			return err
		})},
	"names the wrong version": {promises: []string{"CellConditions", "RefuseByCell"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			err := log.Write(ctx, w)
			if cell := new(driver.CellError); errors.As(err, &cell) {
				return &driver.CellError{Key: cell.Key, Version: cell.Version + 1}
			}
			return err
		})},
	"accepts what it should refuse": {promises: []string{"LimitsExceeded", "NamesRefused", "RefuseMalformed", "Model"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if w.Validate() != nil {
				return nil
			}
			return log.Write(ctx, w)
		})},
	"calls limits otherwise": {promises: []string{"LimitsExceeded"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if err := log.Write(ctx, w); errors.Is(err, driver.ErrTooLarge) {
				return errors.New("too large")
			}
			return log.Write(ctx, w)
		})},
	"has smaller limits": {promises: []string{"LimitsReached", "NamesLong", "FindManyKeys"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			for _, b := range w.Batches {
				for _, c := range b.Commits {
					if len(c.Data) == driver.MaxCommit || len(c.Keys) == driver.MaxCommitKeys ||
						len(c.Keys) > 0 && len(c.Keys[0].Name) == driver.MaxName {
						return driver.ErrTooLarge
					}
				}
			}
			return log.Write(ctx, w)
		})},
	"writes, then looks at ctx": {promises: []string{"RefuseCancelled"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			return errors.Join(log.Write(context.WithoutCancel(ctx), w), ctx.Err())
		})},
	"keeps the place of the refused": {promises: []string{"RefuseThenAccept"},
		wrap: func(log driver.Log) driver.Log {
			var stuck atomic.Bool
			return onWrite{log, func(ctx context.Context, log driver.Log, w driver.Write) error {
				if stuck.Load() {
					return driver.ErrUnknown
				}
				err := log.Write(ctx, w)
				stuck.Store(errors.Is(err, driver.ErrTooLarge))
				return err
			}}
		}},
	"deadlocks over shards": {hangs: true, promises: []string{"RaceOverShards"},
		wrap: func(log driver.Log) driver.Log {
			var shards [8]sync.Mutex
			return onWrite{log, func(ctx context.Context, log driver.Log, w driver.Write) error {
				for _, b := range w.Batches {
					shards[b.Shard].Lock()
					defer shards[b.Shard].Unlock()
					runtime.Gosched()
				}
				return log.Write(ctx, w)
			}}
		}},
	"keeps the writer's memory": {promises: []string{"MemoryOfWriter"},
		wrap: func(log driver.Log) driver.Log {
			return aliasing{log, new(sync.Mutex), make(map[[2]uint64][]byte)}
		}},
}

// place makes every batch fit, as a writer without compare-and-swap would.
func place(ctx context.Context, log driver.Log, w driver.Write) driver.Write {
	w.Batches = slices.Clone(w.Batches)
	for i := range w.Batches {
		b := &w.Batches[i]
		tail, err := log.Tail(ctx, b.Shard)
		if err != nil || b.First == 0 {
			continue
		}
		runtime.Gosched()
		b.Commits = slices.Clone(b.Commits)
		b.First = tail + 1
		for j := range b.Commits {
			b.Commits[j].Revision = b.First + driver.Revision(j)
		}
	}
	return w
}

// aliasing keeps the memory of its writers.
type aliasing struct {
	driver.Log
	mu   *sync.Mutex
	data map[[2]uint64][]byte
}

func (b aliasing) Write(ctx context.Context, w driver.Write) error {
	err := b.Log.Write(ctx, w)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, batch := range w.Batches {
		for _, c := range batch.Commits {
			if err == nil {
				b.data[[2]uint64{uint64(batch.Shard), uint64(c.Revision)}] = c.Data
			}
		}
	}
	return err
}

func (b aliasing) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return through(func(_ int, c driver.Commit) (driver.Commit, bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		c.Data = b.data[[2]uint64{uint64(shard), uint64(c.Revision)}]
		return c, true
	})(b.Log.Read(ctx, shard, r))
}

func firstCell(w driver.Write) string {
	if len(w.Cells) == 0 {
		return ""
	}
	return w.Cells[0].Cell.Key
}
