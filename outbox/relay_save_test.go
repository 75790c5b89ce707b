package outbox_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRelaySavesInSpiteOfLostAnswers: a saving whose answer is lost is not taken
// for another's.
func TestRelaySavesInSpiteOfLostAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Lose, drivertest.Drop, drivertest.Fail, drivertest.Late} {
		synctest.Test(t, func(t *testing.T) {
			f := drivertest.NewFaulty(memlog.NewStore().Open(), nil)
			l, err := eventlog.Open(t.Context(), f, few)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			b := &broker{}
			r := quickRelay(l, b)
			stop := startRun(t, r)
			defer stop()
			time.Sleep(time.Second)
			var n atomic.Int64
			f.Inject(func(c drivertest.Call) drivertest.Fault {
				if c.Method == "Write" && len(c.Write.Cells) == 1 && strings.Contains(c.Write.Cells[0].Cell.Key, "cursor") {
					if n.Add(1)%4 != 0 {
						return drivertest.Fault{Kind: kind, N: 8}
					}
				}
				return drivertest.Fault{}
			})
			for i := range 20 {
				add(t, l, "a/1", i)
				time.Sleep(300 * time.Millisecond)
			}
			time.Sleep(5 * time.Second)
			s, err := r.Status(t.Context())
			if err != nil || s[l.ShardOf("a/1")].Revision != 20 || b.count() != 20 {
				t.Errorf("%v: %+v, %v, %d published", kind, s[l.ShardOf("a/1")], err, b.count())
			}
			if err := r.Health(context.Background()); err != nil {
				t.Errorf("%v: %v", kind, err)
			}
			if n := n.Load(); n < 20 {
				t.Errorf("%v: only %d savings", kind, n)
			}
		})
	}
}

// TestRelaySavesOneAtATime: however slow the store.
func TestRelaySavesOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.NewStore().Open(), nil)
		l, err := eventlog.Open(t.Context(), f, few)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := &broker{}
		stop := startRun(t, publishing(l, b))
		defer stop()
		time.Sleep(time.Second)
		var n atomic.Int64
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != "Write" || len(c.Write.Cells) != 1 || !strings.Contains(c.Write.Cells[0].Cell.Key, "cursor") {
				return drivertest.Fault{}
			}
			n.Add(1)
			slow := make(chan struct{})
			time.AfterFunc(time.Second, func() { close(slow) })
			return drivertest.Fault{Before: slow}
		})
		for i := range 100 {
			add(t, l, "a/1", i)
			time.Sleep(100 * time.Millisecond)
		}
		if saves := n.Load(); b.count() != 100 || saves < 5 || saves > 11 {
			t.Errorf("%d published, %d savings in 10 s", b.count(), saves)
		}
		time.Sleep(5 * time.Second)
	})
}

// TestRelayStoreDown: it says so, and goes on; a closed log ends it.
func TestRelayStoreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.NewStore().Open(), nil)
		l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		b := &broker{}
		r := quickRelay(l, b)
		done := make(chan error, 1)
		go func() { done <- r.Run(context.Background()) }()
		time.Sleep(time.Second)
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Tail" {
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		time.Sleep(5 * time.Second)
		add(t, l, "a/1", 1)
		if err := r.Health(context.Background()); !errors.Is(err, drivertest.ErrInjected) {
			t.Errorf("it cannot read: %v", err)
		}
		f.Inject(deadProcess)
		time.Sleep(5 * time.Second)
		if err := r.Health(context.Background()); !errors.Is(err, drivertest.ErrInjected) || !strings.Contains(err.Error(), "no leases") {
			t.Errorf("all fails: %v", err)
		}
		if err := r.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		f.Inject(nil)
		time.Sleep(20 * time.Second)
		if err := r.Health(context.Background()); err != nil || b.count() != 1 {
			t.Errorf("%v, %d published", err, b.count())
		}
		gate := make(chan struct{}) // the call in hand does not return
		b.mu.Lock()
		b.plan = func(*message.Message) (before, after error) { <-gate; return nil, nil }
		b.mu.Unlock()
		add(t, l, "a/1", 2)
		time.Sleep(time.Second)
		defer close(gate)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("the log is closed: %v", err)
		}
	})
}
