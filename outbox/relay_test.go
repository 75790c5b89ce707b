package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRelayPublishes what was there and what comes, at once.
func TestRelayPublishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := eventlogtest.New(t), &broker{}
		add(t, l, "a/1", 1, 2)
		r := publishing(l, b)
		startRun(t, r)
		synctest.Wait()
		add(t, l, "a/1", 3)
		add(t, l, "b/1", 1)
		synctest.Wait()
		if x, y := b.firsts(t, "a/1"), b.firsts(t, "b/1"); !slices.Equal(x, upTo(3)) || !slices.Equal(y, upTo(1)) || b.count() != 4 {
			t.Errorf("published %v", b.list())
		}
		if err := r.Health(context.Background()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestRelayIsPipelined: streams do not wait for each other, and a stream's events
// share calls.
func TestRelayIsPipelined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		slowly := func(*message.Message) (before, after error) {
			time.Sleep(100 * time.Millisecond)
			return nil, nil
		}
		b := &broker{plan: slowly}
		for i := range 640 {
			add(t, l, fmt.Sprintf("a/%d", i), 1)
		}
		stop := startRun(t, publishing(l, b))
		time.Sleep(1100 * time.Millisecond)
		if n, most := b.count(), b.peak(); n != 640 || most != 64 {
			t.Errorf("%d published after a second, %d at a time", n, most)
		}
		stop()
		b = &broker{plan: slowly}
		for range 100 {
			add(t, l, "hot/1", 1)
		}
		startRun(t, publishing(l, b))
		time.Sleep(time.Minute)
		if n, calls := b.count(), b.total(); n != 100 || calls > 100/16+2 || !slices.Equal(b.firsts(t, "hot/1"), upTo(100)) {
			t.Errorf("%d published in %d calls", n, calls)
		}
	})
}

// TestRelayIdle: a relay with nothing to do costs the keeping of its leases.
func TestRelayIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		stop := startRun(t, publishing(l, &broker{}))
		defer stop()
		for i := range 100 {
			add(t, l, fmt.Sprintf("a/%d", i%9), i)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		calls := func(methods ...string) (n int) {
			for _, m := range methods {
				n += f.Calls(m)
			}
			return n
		}
		reads, cells, writes := calls("Tail", "Read", "Find", "Keys"), calls("Cells"), calls("Write")
		time.Sleep(time.Minute)
		if n := calls("Tail", "Read", "Find", "Keys") - reads; n != 0 {
			t.Errorf("%d reads in a minute", n)
		}
		if c, w := calls("Cells")-cells, calls("Write")-writes; c != 120 || w > 60 {
			t.Errorf("leases cost %d readings and %d writes in a minute", c, w)
		}
	})
}

// TestRelayLazy: commits without an event to publish cost a write now and then, so
// that a restart does not read them all again.
func TestRelayLazy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := publishing(l, &broker{})
		r.Types = []string{"no such type"}
		stop := startRun(t, r)
		defer stop()
		time.Sleep(time.Second)
		before := f.Calls("Write")
		for i := range 3000 {
			add(t, l, "a/1", i)
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		if n := f.Calls("Write") - before - 3000; n < 2 || n > 40 {
			t.Errorf("%d writes beside the appends in half a minute", n)
		}
		s, err := r.Status(t.Context())
		if err != nil || s[0].Revision < 2000 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
