package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// open returns a log of a process of its own on a store.
func open(t testing.TB, s *memlog.Store) *eventlog.Log { return openWith(t, s, nil) }

func openWith(t testing.TB, s *memlog.Store, o *eventlog.Options) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(context.Background(), s.Open(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eventlog.Check(context.Background(), l); err != nil {
			t.Errorf("the log is damaged: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// eventually waits until want is what stream has, in a synctest bubble.
func eventually(t testing.TB, l *eventlog.Log, stream string, want ...int) {
	t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	if got := added(t, l, stream); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", stream, got, want)
	}
}

// TestRunAtOnce: a running runner takes up a step when it is committed, in this
// process without any sweep, and so on along the chain.
func TestRunAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		r := runner(l, relaying)
		r.Sweep = time.Hour
		start(t, r)
		synctest.Wait()
		begin := time.Now()
		enqueue(t, l, Relay{[]string{"a/1", "b/1", "c/1"}, 7})
		synctest.Wait()
		if got := added(t, l, "c/1"); !slices.Equal(got, []int{7}) || time.Since(begin) > time.Second {
			t.Errorf("got %v after %v", got, time.Since(begin))
		}
	})
}

// TestIdle: between two sweeps a runner without work does not touch the store,
// and a sweep costs a reading a shard, however much was done before.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := runner(l, adding)
		r.Sweep = time.Minute
		stop := start(t, r)
		for i := range 200 {
			enqueue(t, l, Add{fmt.Sprintf("a/%d", i%7), i})
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		calls := func() (n int) {
			for _, m := range []string{"Write", "Tail", "Read", "Find", "Keys", "Cells"} {
				n += faulty.Calls(m)
			}
			return n
		}
		before := calls()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if n := calls() - before; n != 0 {
			t.Errorf("%d calls between two sweeps", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := calls() - before; n == 0 || n > l.Shards()+4 { // with the heartbeat, and a look at the leases
			t.Errorf("%d calls for a sweep of %d shards", n, l.Shards())
		}
		stop()
	})
}

// TestSlowTarget: a target whose handler hangs, however many steps wait for it,
// holds up nobody else.
func TestSlowTarget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		release := make(chan struct{})
		h := outbox.On(func(tx *eventlog.Tx, a Add) error {
			if a.To == "slow/1" {
				<-release
			}
			return tx.Append(a.To, Added{a.N})
		}, nil)
		r := runner(l, h)
		r.ReadAhead, r.Batch = 16, 4
		var steps []outbox.Step
		for i := range 200 {
			steps = append(steps, Add{"slow/1", i})
		}
		enqueue(t, l, append(steps, Add{"fast/1", 1})...)
		start(t, r)
		eventually(t, l, "fast/1", 1)
		close(release)
		synctest.Wait()
		if got := added(t, l, "slow/1"); len(got) != 200 || !slices.IsSorted(got) {
			t.Errorf("slow/1: %v", got)
		}
	})
}

// TestOrder: steps that one shard's commits enqueue for one target run in their
// order, whatever the store does, and with two runners at work.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		faulty.Inject(drivertest.Chaos(1, drivertest.Odds{Fail: 0.2, Lose: 0.1, Drop: 0.1, Cut: 0.1}))
		h := adding
		h.Policy.Attempts = -1
		var stops []func()
		for range 2 {
			r := runner(l, h)
			r.Batch, r.ReadAhead = 3, 10
			stops = append(stops, start(t, r))
		}
		var want []int
		for i := 0; i < 120; {
			_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, Add{"a/1", i}) })
			if err == nil {
				want = append(want, i)
				i++
			} else if !errors.Is(err, drivertest.ErrInjected) {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute)
		for _, stop := range stops {
			stop()
		}
		faulty.Inject(nil)
		drain(t, runner(l, h))
		if got := added(t, l, "a/1"); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if faulty.Injected(drivertest.Fail) < 20 {
			t.Errorf("only %d faults", faulty.Injected(drivertest.Fail))
		}
		if err := eventlog.Check(context.Background(), l); err != nil {
			t.Error(err)
		}
	})
}

func TestRunnerRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for name, r := range map[string]*outbox.Runner{
		"no log":             {},
		"no type":            {Log: l, Handlers: []outbox.Handler{{Do: adding.Do}}},
		"no function":        {Log: l, Handlers: []outbox.Handler{{Type: "x"}}},
		"two for one type":   {Log: l, Handlers: []outbox.Handler{adding, adding}},
		"negative backoff":   {Log: l, Handlers: []outbox.Handler{failing(&outbox.Policy{Backoff: -1})}},
		"negative batch":     {Log: l, Batch: -1},
		"absurd batch":       {Log: l, Batch: 1e9},
		"negative targets":   {Log: l, Targets: -1},
		"absurd targets":     {Log: l, Targets: 1e9},
		"negative readahead": {Log: l, ReadAhead: -1},
		"absurd readahead":   {Log: l, ReadAhead: 1e9},
		"tiny readahead":     {Log: l, ReadAhead: 1},
		"negative at once":   {Log: l, AtOnce: -2},
		"absurd at once":     {Log: l, AtOnce: 1e9},
		"short lease":        {Log: l, Sweep: time.Second, Lease: 5 * time.Second},
		"absurd lease":       {Log: l, Lease: 48 * time.Hour},
		"negative lease":     {Log: l, Lease: -1},
		"both functions":     {Log: l, Handlers: []outbox.Handler{{Type: "x", Do: adding.Do, Effect: func(context.Context, string, outbox.Raw) (outbox.Step, error) { return nil, nil }}}},
		"negative attempts":  {Log: l, Handlers: []outbox.Handler{failing(&outbox.Policy{Attempts: -2})}},
		"absurd attempts":    {Log: l, Handlers: []outbox.Handler{failing(&outbox.Policy{Attempts: 1e9})}},
		"negative ttl":       {Log: l, Handlers: []outbox.Handler{failing(&outbox.Policy{TTL: -1})}},
		"absurd priority":    {Log: l, Handlers: []outbox.Handler{failing(&outbox.Policy{Priority: 101})}},
		"absurd timeout":     {Log: l, Handlers: []outbox.Handler{failing(&outbox.Policy{Timeout: 1 << 62})}},
		"negative sweep":     {Log: l, Sweep: -1},
		"absurd sweep":       {Log: l, Sweep: 1e18},
		"negative grace":     {Log: l, Grace: -1},
	} {
		if err := r.Run(t.Context()); err == nil {
			t.Errorf("%s: runs", name)
		}
		if err := r.Drain(t.Context()); err == nil {
			t.Errorf("%s: drains", name)
		}
		if err := r.Check(); err == nil {
			t.Errorf("%s: passes Check", name)
		}
	}
	if err := runner(l, adding).Check(); err != nil {
		t.Error(err)
	}
}
