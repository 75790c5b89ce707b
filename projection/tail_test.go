package projection

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestTailsCost: on a store that others write to, too, and that does not tell, projections
// look at each shard once a second, and not for what this process writes.
func TestTailsCost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		var looks atomic.Int64
		d := drivertest.NewFaulty(store.Open(), func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Tail" {
				looks.Add(1)
			}
			return drivertest.Fault{Kind: drivertest.Hide}
		})
		open := func(d driver.Log) *eventlog.Log {
			l, err := eventlog.Open(t.Context(), d, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			return l
		}
		l, other := open(d), open(store.Open())
		ctx, cancel := context.WithCancel(t.Context())
		tails, done := newTails(l), make(chan struct{})
		go func() {
			defer close(done)
			tails.follow(ctx)
		}()
		synctest.Wait()
		looks.Store(0)
		write := func(l *eventlog.Log) {
			t.Helper()
			for i := range 50 {
				if _, err := l.Append(t.Context(), fmt.Sprintf("a/%d", i), nil, eventlog.Raw{Type: "t", Data: []byte("1")}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		known := func() (n driver.Revision) {
			for s := range l.Shards() {
				n += tails.at(s)
			}
			return n
		}
		write(l)
		if known() != 50 || looks.Load() != 0 {
			t.Errorf("%d own commits are known by %d looks, want 50 by none", known(), looks.Load())
		}
		write(other)
		time.Sleep(time.Second)
		synctest.Wait()
		if known() != 100 || looks.Load() != int64(l.Shards()) {
			t.Errorf("%d commits are known by %d looks, want 100 by %d", known(), looks.Load(), l.Shards())
		}
		cancel()
		<-done
	})
}
