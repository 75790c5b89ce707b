package drivertest_test

import (
	"context"
	"iter"
	"maps"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A mutant is a driver with a defect, and the promises it breaks.
type mutant struct {
	wrap     func(driver.Log) driver.Log
	moves    func(driver.Mover) driver.Mover
	newStore func() (open func() driver.Log)
	promises []string
	hangs    bool // rather than fails; then each promise needs a process of its own
}

// broken are drivers that each break promises.
var broken = merge(brokenWriters, brokenReaders, brokenNames, brokenStores, brokenMovers)

func merge(sets ...map[string]mutant) map[string]mutant {
	all := make(map[string]mutant)
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// onWrite is a log with another Write.
type onWrite struct {
	driver.Log
	write func(ctx context.Context, log driver.Log, w driver.Write) error
}

func (b onWrite) Write(ctx context.Context, w driver.Write) error { return b.write(ctx, b.Log, w) }

func writes(f func(ctx context.Context, log driver.Log, w driver.Write) error) func(driver.Log) driver.Log {
	return func(log driver.Log) driver.Log { return onWrite{log, f} }
}

// onRead is a log whose reads pass through functions, where they are not nil.
type onRead struct {
	driver.Log
	read  func(iter.Seq2[driver.Commit, error], driver.Range) iter.Seq2[driver.Commit, error]
	find  func(iter.Seq2[driver.Commit, error], driver.Range) iter.Seq2[driver.Commit, error]
	keys  func(iter.Seq2[driver.Key, error]) iter.Seq2[driver.Key, error]
	cells func(iter.Seq2[driver.Cell, error]) iter.Seq2[driver.Cell, error]
}

func (b onRead) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	if b.read == nil {
		return b.Log.Read(ctx, shard, r)
	}
	return b.read(b.Log.Read(ctx, shard, r), r)
}

func (b onRead) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	if b.find == nil {
		return b.Log.Find(ctx, shard, key, r)
	}
	return b.find(b.Log.Find(ctx, shard, key, r), r)
}

func (b onRead) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	if b.keys == nil {
		return b.Log.Keys(ctx, shard, prefix, after)
	}
	return b.keys(b.Log.Keys(ctx, shard, prefix, after))
}

func (b onRead) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	if b.cells == nil {
		return b.Log.Cells(ctx, from, to, limit)
	}
	return b.cells(b.Log.Cells(ctx, from, to, limit))
}

func reads(b onRead) func(driver.Log) driver.Log {
	return func(log driver.Log) driver.Log {
		own := b
		own.Log = log
		return own
	}
}

// through changes the items of an iteration; keep false ends it early.
func through[T any](change func(i int, item T) (T, bool)) func(iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(seq iter.Seq2[T, error]) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			i := 0
			for item, err := range seq {
				if err == nil {
					var ok bool
					if item, ok = change(i, item); !ok {
						return
					}
					i++
				}
				if !yield(item, err) {
					return
				}
			}
		}
	}
}

func commits(change func(i int, c driver.Commit) (driver.Commit, bool)) func(iter.Seq2[driver.Commit, error], driver.Range) iter.Seq2[driver.Commit, error] {
	return func(seq iter.Seq2[driver.Commit, error], _ driver.Range) iter.Seq2[driver.Commit, error] {
		return through(change)(seq)
	}
}

// only yields the commits that keep accepts.
func only(keep func(driver.Commit, driver.Range) bool) func(iter.Seq2[driver.Commit, error], driver.Range) iter.Seq2[driver.Commit, error] {
	return func(seq iter.Seq2[driver.Commit, error], r driver.Range) iter.Seq2[driver.Commit, error] {
		return func(yield func(driver.Commit, error) bool) {
			for c, err := range seq {
				if (err != nil || keep(c, r)) && !yield(c, err) {
					return
				}
			}
		}
	}
}

// others is a log that replaces whole methods.
type others struct {
	driver.Log
	close func() error
	tail  func(ctx context.Context, shard int) (driver.Revision, error)
	watch func(ctx context.Context) iter.Seq2[driver.Head, error]
}

func (b others) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Log.Close()
}

func (b others) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if b.tail != nil {
		return b.tail(ctx, shard)
	}
	return b.Log.Tail(ctx, shard)
}

func (b others) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	if b.watch != nil {
		return b.watch(ctx)
	}
	return b.Log.Watch(ctx)
}
