package drivertest_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

var brokenStores = map[string]mutant{
	"shows late": {promises: []string{"SeenWhenAcknowledged"},
		wrap: func(log driver.Log) driver.Log {
			var last sync.Map // the tails of the Tail before
			return others{Log: log, tail: func(ctx context.Context, shard int) (driver.Revision, error) {
				rev, err := log.Tail(ctx, shard)
				if old, ok := last.Swap(shard, rev); ok {
					return old.(driver.Revision), err
				}
				return rev, err
			}}
		}},
	"announces too early": {promises: []string{"WatchHeads", "HandlesWatch"},
		wrap: func(log driver.Log) driver.Log {
			return drivertest.NewFaulty(log, drivertest.Nth("Watch", 1, drivertest.Fault{Kind: drivertest.Ahead}))
		}},
	"announces nothing": {promises: []string{"WatchHeads", "HandlesWatch"},
		wrap: func(log driver.Log) driver.Log {
			return drivertest.NewFaulty(log, drivertest.Nth("Watch", 1, drivertest.Fault{Kind: drivertest.Hide}))
		}},
	"waits for watchers": {hangs: true, promises: []string{"WatchDropped"},
		wrap: func(log driver.Log) driver.Log {
			busy := make(chan struct{}, 1)
			return onWrite{others{Log: log, watch: func(ctx context.Context) iter.Seq2[driver.Head, error] {
				return func(yield func(driver.Head, error) bool) {
					for h, err := range log.Watch(ctx) {
						busy <- struct{}{}
						ok := yield(h, err)
						<-busy
						if !ok {
							return
						}
					}
				}
			}}, func(ctx context.Context, log driver.Log, w driver.Write) error {
				busy <- struct{}{}
				defer func() { <-busy }()
				return log.Write(ctx, w)
			}}
		}},
	"does not close": {hangs: true, promises: []string{"Closed", "CloseEndsWatch"},
		wrap: func(log driver.Log) driver.Log { return others{Log: log, close: func() error { return nil }} }},
	"closes under the writers": {promises: []string{"CloseWaits", "ReopenAfterLoad"},
		wrap: writes(func(ctx context.Context, log driver.Log, w driver.Write) error {
			if err := log.Write(ctx, w); errors.Is(err, driver.ErrClosed) {
				return errors.New("bad file descriptor")
			} else {
				return err
			}
		})},
	"waits for iterations": {hangs: true, promises: []string{"CloseInIteration"},
		wrap: func(log driver.Log) driver.Log { return waiting{log, new(sync.WaitGroup)} }},
	"changes its mind": {promises: []string{"Exclusive"}, wrap: func(log driver.Log) driver.Log { return fickle{log, new(atomic.Bool)} }},
	"has a store for each handle": {promises: []string{"ReopenKeeps", "ReopenAfterLoad", "HandlesShare", "HandlesRace", "HandlesWatch", "HandlesClose"}, newStore: func() func() driver.Log {
		return func() driver.Log { return memlog.NewStore().Open() }
	}},
}

// waiting waits for the iterations of commits when it is closed.
type waiting struct {
	driver.Log
	under *sync.WaitGroup
}

func (b waiting) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		b.under.Add(1)
		defer b.under.Done()
		b.Log.Read(ctx, shard, r)(yield)
	}
}

func (b waiting) Close() error {
	b.under.Wait()
	return b.Log.Close()
}

// fickle is exclusive every other time.
type fickle struct {
	driver.Log
	last *atomic.Bool
}

func (b fickle) Exclusive() bool {
	now := !b.last.Load()
	b.last.Store(now)
	return now
}
