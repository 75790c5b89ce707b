package drivertest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var brokenReaders = map[string]mutant{
	"knows no empty shards": {promises: []string{"EmptyStore"},
		wrap: func(log driver.Log) driver.Log {
			return others{Log: log, tail: func(ctx context.Context, shard int) (driver.Revision, error) {
				rev, err := log.Tail(ctx, shard)
				if rev == 0 && err == nil {
					err = errors.New("no such shard")
				}
				return rev, err
			}}
		}},
	"skips empty data": {promises: []string{"WriteEmptyData", "Model"},
		wrap: reads(onRead{read: only(func(c driver.Commit, _ driver.Range) bool { return len(c.Data) > 0 })})},
	"versions as floats": {promises: []string{"CellPut"},
		wrap: reads(onRead{cells: through(func(_ int, c driver.Cell) (driver.Cell, bool) {
			c.Version = uint64(float64(c.Version))
			return c, true
		})})},
	"writes text only": {promises: []string{"WriteBinary"},
		wrap: reads(onRead{read: commits(func(_ int, c driver.Commit) (driver.Commit, bool) {
			c.Data = bytes.ToValidUTF8(c.Data, []byte("\ufffd"))
			return c, true
		})})},
	"reads a page": {promises: []string{"ReadAll"},
		wrap: reads(onRead{read: commits(func(i int, c driver.Commit) (driver.Commit, bool) { return c, i < 1000 })})},
	"finds a page": {promises: []string{"ReadAll"},
		wrap: reads(onRead{find: commits(func(i int, c driver.Commit) (driver.Commit, bool) { return c, i < 1000 })})},
	"lists a page": {promises: []string{"KeysMany", "FindManyKeys"},
		wrap: reads(onRead{keys: through(func(i int, k driver.Key) (driver.Key, bool) { return k, i < 1000 })})},
	"has a page of cells": {promises: []string{"CellsMany"},
		wrap: reads(onRead{cells: through(func(i int, c driver.Cell) (driver.Cell, bool) { return c, i < 1000 })})},
	"reads 4 MB": {promises: []string{"ReadLarge"},
		wrap: reads(onRead{read: commits(func(i int, c driver.Commit) (driver.Commit, bool) { return c, (i+1)*len(c.Data) < 4<<20 })})},
	"reads with a hole": {promises: []string{"ReadRange", "WriteBehindTail", "Model"},
		wrap: reads(onRead{read: only(func(c driver.Commit, _ driver.Range) bool { return c.Revision != 3 })})},
	"forgets the start of a range": {promises: []string{"ReadRange"},
		wrap: reads(onRead{read: only(func(c driver.Commit, r driver.Range) bool { return uint64(c.Revision) != r.From || r.From < 2 })})},
	"finds by revision": {promises: []string{"FindRange", "Model"},
		wrap: reads(onRead{find: only(func(c driver.Commit, r driver.Range) bool { return r.Contains(uint64(c.Revision)) })})},
	"finds twice": {promises: []string{"FindEachOnce", "Model"},
		wrap: reads(onRead{find: func(seq iter.Seq2[driver.Commit, error], _ driver.Range) iter.Seq2[driver.Commit, error] {
			return func(yield func(driver.Commit, error) bool) {
				for c, err := range seq {
					for range 2 {
						if !yield(c, err) {
							return
						}
					}
				}
			}
		}})},
	"lists first positions": {promises: []string{"KeysLastPosition", "Model"},
		wrap: reads(onRead{keys: through(func(_ int, k driver.Key) (driver.Key, bool) { k.Pos = min(k.Pos, 1); return k, true })})},
	"lists out of order": {promises: []string{"KeysPrefix", "Model"},
		wrap: reads(onRead{keys: func(seq iter.Seq2[driver.Key, error]) iter.Seq2[driver.Key, error] {
			return func(yield func(driver.Key, error) bool) {
				var all []driver.Key
				for k, err := range seq {
					if err != nil {
						yield(k, err)
						return
					}
					all = append(all, k)
				}
				for _, k := range slices.Backward(all) {
					if !yield(k, nil) {
						return
					}
				}
			}
		}})},
	"is unbounded":          {promises: []string{"CellsRange"}, wrap: func(log driver.Log) driver.Log { return unbounded{log} }},
	"ignores ctx":           {hangs: true, promises: []string{"ContextDone", "ContextEnds", "WatchEnds"}, wrap: func(log driver.Log) driver.Log { return deaf{log} }},
	"iterates under a lock": {hangs: true, promises: []string{"IterationWrites"}, wrap: func(log driver.Log) driver.Log { return locked{log, new(sync.Mutex)} }},
	"has one iteration":     {promises: []string{"IterationInterleaved"}, wrap: func(log driver.Log) driver.Log { return oneIteration{log, new(atomic.Int32), false} }},
	"leaks iterations":      {promises: []string{"IterationDropped"}, wrap: func(log driver.Log) driver.Log { return oneIteration{log, new(atomic.Int32), true} }},
	"reuses the memory of cells": {promises: []string{"MemoryOfReader"},
		wrap: reads(onRead{cells: func(seq iter.Seq2[driver.Cell, error]) iter.Seq2[driver.Cell, error] {
			return func(yield func(driver.Cell, error) bool) {
				var buf []byte
				for c, err := range seq {
					buf = append(buf[:0], c.Value...)
					c.Value = buf
					if !yield(c, err) {
						return
					}
				}
			}
		}})},
	"reuses its memory": {promises: []string{"MemoryOfReader"},
		wrap: reads(onRead{read: func(seq iter.Seq2[driver.Commit, error], _ driver.Range) iter.Seq2[driver.Commit, error] {
			return func(yield func(driver.Commit, error) bool) {
				var buf []byte
				for c, err := range seq {
					buf = append(buf[:0], c.Data...)
					c.Data = buf
					if !yield(c, err) {
						return
					}
				}
			}
		}})},
}

// deaf ignores the end of its callers' contexts.
type deaf struct{ driver.Log }

func (b deaf) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return b.Log.Read(context.WithoutCancel(ctx), shard, r)
}

func (b deaf) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return b.Log.Keys(context.WithoutCancel(ctx), shard, prefix, after)
}

func (b deaf) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return b.Log.Watch(context.WithoutCancel(ctx))
}

// locked holds a lock while it iterates.
type locked struct {
	driver.Log
	mu *sync.Mutex
}

func (b locked) Write(ctx context.Context, w driver.Write) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Log.Write(ctx, w)
}

func (b locked) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.Log.Cells(ctx, from, to, limit)(yield)
	}
}

// unbounded does not look at the end of a range of cells.
type unbounded struct{ driver.Log }

func (b unbounded) Cells(ctx context.Context, from, _ string, limit int) iter.Seq2[driver.Cell, error] {
	return b.Log.Cells(ctx, from, "", limit)
}

// oneIteration can do one iteration of commits at a time, and does not notice
// when one is dropped: Close then fails.
type oneIteration struct {
	driver.Log
	under *atomic.Int32
	many  bool // can do many
}

func (b oneIteration) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		if b.under.Add(1) > 1 && !b.many {
			yield(driver.Commit{}, errors.New("busy"))
			return
		}
		for c, err := range b.Log.Read(ctx, shard, r) {
			if !yield(c, err) {
				return
			}
		}
		b.under.Add(-1)
	}
}

func (b oneIteration) Close() error {
	if n := b.under.Load(); n > 0 {
		return errors.New("iterations are open")
	}
	return b.Log.Close()
}
