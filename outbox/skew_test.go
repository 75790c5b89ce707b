package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestCancelledByASlowerClock: a step that was stamped by a clock a little ahead,
// and cancelled by one behind, is cancelled, also for a process that has just
// started and looks for nothing older than the step.
func TestCancelledByASlowerClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, store := context.Background(), memlog.NewStore()
		open := func() *eventlog.Log {
			l, err := eventlog.Open(ctx, store.Open(), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			return l
		}
		l := open()
		var id eventlog.ID
		_, err := l.Update(ctx, func(tx *eventlog.Tx) (err error) {
			id, err = At(tx, time.Time{}, Raw{Type: "x", Stream: "a/1"})
			return err
		})
		if err == nil {
			_, err = l.Update(ctx, func(tx *eventlog.Tx) error {
				_, err := Cancel(tx, id, "a/1")
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		other := open()
		shard := l.ShardOf("a/1")
		for r, err := range readSteps(ctx, other, shard, []uint64{1}) {
			if err != nil {
				t.Fatal(err)
			}
			it := newItem(&r)
			it.time = it.time.Add(1500 * time.Millisecond) // by the other clock
			time.Sleep(2 * time.Second)
			it.src, it.handler = &source{shard: shard}, &Handler{Type: "x", Do: func(*eventlog.Tx, Raw) error {
				t.Error("it ran")
				return nil
			}}
			w := &work{item: it, stored: it.raw}
			b := &batch{engine: &engine{lead: newLead(), options: options{Log: other, Batch: 1}}, shard: shard, groups: []*group{{queue: &queue{target: "a/1"}, works: []*work{w}}}}
			if err := b.roll(ctx); err != nil || !w.outcome.decided || w.outcome.wrote {
				t.Errorf("%+v: %v", w.outcome, err)
			}
		}
	})
}
