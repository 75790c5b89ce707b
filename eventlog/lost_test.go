package eventlog_test

import (
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestLostWriteAndOtherShards: when a write is lost, those who wait behind it are
// placed anew in all their shards, also in those that the write had no part in:
// once each, without gaps, whether or not other processes write to the store.
func TestLostWriteAndOtherShards(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() driver.Log{
		"this process alone": func() driver.Log { return memlog.Open() },
		"one of several":     func() driver.Log { return memlog.NewStore().Open() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { loseWrite(t, open()) })
		})
	}
}

func loseWrite(t *testing.T, d driver.Log) {
	f := drivertest.NewFaulty(d, nil)
	l := over(t, f, &eventlog.Options{Shards: 3})
	gate, first := make(chan struct{}), true
	f.Inject(func(c drivertest.Call) drivertest.Fault {
		if c.Method != "Write" || !first {
			return drivertest.Fault{}
		}
		first = false
		return drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrDiskFull, Before: gate}
	})
	var answers []<-chan error
	for _, shards := range [][]int{{0}, {0, 1}, {1}, {2}, {1, 2}, {2, 0}} { // each behind those before it
		answers = append(answers, begin(func() error {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				for _, s := range shards {
					if err := tx.Append(inShard(l, s, "s"), entry{"x"}); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		}))
		synctest.Wait()
	}
	close(gate)
	is(t, <-answers[0], driver.ErrDiskFull)
	for _, a := range answers[1:] {
		is(t, <-a, nil)
	}
	for shard, want := range []driver.Revision{3, 4, 4} { // with one more each
		stream := inShard(l, shard, "s")
		if p := add(t, l, stream, "last"); p.Revision(shard) != want {
			t.Errorf("shard %d: the next commit is at %s, expected revision %d", shard, p, want)
		}
		list := collect(t, l.Read(t.Context(), eventlog.Query{Stream: stream}))
		if n := len(list); n != int(want) || list[n-1].Version != uint64(want) {
			t.Errorf("shard %d has %d events, expected %d: %v", shard, n, want, list)
		}
	}
}

// TestQueuedBehindAWriteOfSeveralShards: whoever waits in one shard for a write that
// covers several goes on when that is done, with nobody else to wake the shard.
func TestQueuedBehindAWriteOfSeveralShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.NewStore().Open(), nil)
		l := over(t, f, &eventlog.Options{Shards: 2})
		for shard := range 2 {
			gate := make(chan struct{})
			f.Inject(holdWrites(gate))
			wide := begin(func() error {
				_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
					return join(tx.Append(inShard(l, 0, "s"), entry{"x"}), tx.Append(inShard(l, 1, "s"), entry{"x"}))
				})
				return err
			})
			synctest.Wait()
			behind := begin(func() error {
				_, err := l.Append(t.Context(), inShard(l, shard, "s"), nil, entry{"y"})
				return err
			})
			synctest.Wait()
			close(gate)
			is(t, <-wide, nil)
			is(t, <-behind, nil)
		}
	})
}
