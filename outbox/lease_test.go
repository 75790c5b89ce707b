package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// shares returns how many shards each runner holds.
func shares(t testing.TB, runners ...*outbox.Runner) (list []int) {
	t.Helper()
	for _, r := range runners {
		s, err := r.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, len(s.Shards))
	}
	return list
}

// TestShardsAreShared: runners share the shards evenly as they come and go;
// every step is done all the while.
func TestShardsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := open(t, store)
		var runners []*outbox.Runner
		var stops []func()
		n := 0
		expect := func(want ...int) {
			t.Helper()
			sleep(10 * time.Second)
			if got := shares(t, runners...); !slices.Equal(got, want) {
				t.Errorf("shares %v, want %v", got, want)
			}
			var steps []outbox.Step
			for i := range 32 {
				steps = append(steps, Add{fmt.Sprintf("a/%d", i), n})
			}
			enqueue(t, l, steps...)
			n++
			sleep(2 * time.Second)
			for i := range 32 {
				if got := added(t, l, fmt.Sprintf("a/%d", i)); len(got) != n {
					t.Errorf("a/%d: %v, want %d of them", i, got, n)
				}
			}
		}
		for _, want := range [][]int{{16}, {8, 8}, {6, 5, 5}, {4, 4, 4, 4}} {
			r := runner(open(t, store), adding)
			runners, stops = append(runners, r), append(stops, start(t, r))
			sleep(10 * time.Second)
			slices.Sort(want)
			got := shares(t, runners...)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("shares %v, want %v", got, want)
			}
		}
		expect(4, 4, 4, 4)
		stops[0]() // gives back: the others have its shards at once
		runners = runners[1:]
		sleep(2 * time.Second)
		sum := 0
		for _, n := range shares(t, runners...) {
			sum += n
		}
		if sum != 16 {
			t.Errorf("%d shards are held after a runner has gone", sum)
		}
		stops[1]()
		stops[2]()
		runners = runners[2:]
		expect(16)
	})
}

// TestTakeover: what a runner that crashed held is in other hands within the
// lease time. The crashed one, waking up a minute later, does nothing that was
// decided meanwhile and moves no cursor.
func TestTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		faulty := drivertest.NewFaulty(store.Open(), nil)
		stale, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer stale.Close()
		l := open(t, store)
		var mu sync.Mutex
		ran := map[string]int{}
		count := func(who string) outbox.Handler {
			return outbox.On(func(tx *eventlog.Tx, a Add) error {
				mu.Lock()
				ran[who]++
				mu.Unlock()
				return tx.Append(a.To, Added{a.N})
			}, nil)
		}
		old := runner(stale, count("old"))
		start(t, old)
		sleep(3 * time.Second)
		start(t, runner(l, count("new")))
		sleep(10 * time.Second)
		before := shares(t, old)[0]
		hung := make(chan struct{})
		faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Before: hung} })
		var steps []outbox.Step
		for i := range 64 {
			steps = append(steps, Add{fmt.Sprintf("a/%d", i), 1})
		}
		enqueue(t, l, steps...)
		sleep(6 * time.Second) // the lease time
		for i := range 64 {
			if got := added(t, l, fmt.Sprintf("a/%d", i)); !slices.Equal(got, []int{1}) {
				t.Errorf("a/%d: %v, after the lease time", i, got)
			}
		}
		sleep(time.Minute)
		cursors := func() (out []uint64) {
			for shard := range l.Shards() {
				_, v, err := l.ReadCell(context.Background(), fmt.Sprintf("$steps\x01cursor\x01%04d", shard))
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, v)
			}
			return out
		}
		was := cursors()
		faulty.Inject(nil)
		close(hung)
		synctest.Wait()
		if got := cursors(); !slices.Equal(got, was) {
			t.Errorf("the cursors moved from %v to %v", was, got)
		}
		for i := range 64 {
			if got := added(t, l, fmt.Sprintf("a/%d", i)); !slices.Equal(got, []int{1}) {
				t.Errorf("a/%d: %v", i, got)
			}
		}
		sleep(20 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if got := shares(t, old); before != 8 || got[0] != 8 || ran["new"] == 0 {
			t.Errorf("the woken runner has %v shards (before %d); %v", got, before, ran)
		}
	})
}

// TestLeasesCannotBeKept: when the lease store cannot be reached, it is said:
// health, hook, log; and again when all is well.
func TestLeasesCannotBeKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := runner(l, adding)
		troubles, lag := 0, time.Duration(0)
		r.Hooks.Trouble = func(shard int, err error) {
			if shard == -1 {
				troubles++
			}
		}
		r.Hooks.Sweep = func(i outbox.SweepInfo) { lag = i.Lag }
		if err := r.Health(t.Context()); !errors.Is(err, outbox.ErrNotRunning) {
			t.Errorf("before it runs: %v", err)
		}
		stop := start(t, r)
		defer stop()
		sleep(10 * time.Second)
		if err := r.Health(context.Background()); err != nil || lag != 0 {
			t.Errorf("healthy: %v, lag %v", err, lag)
		}
		faulty.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		sleep(10 * time.Second)
		if err := r.Health(context.Background()); !errors.Is(err, drivertest.ErrInjected) || troubles < 5 || lag < 5*time.Second {
			t.Errorf("unreachable: %v, %d troubles, lag %v", err, troubles, lag)
		}
		if got := shares(t, r); got[0] != 0 {
			t.Errorf("it still believes to hold %d shards", got[0])
		}
		faulty.Inject(nil)
		sleep(10 * time.Second)
		if err := r.Health(context.Background()); err != nil || lag != 0 {
			t.Errorf("again: %v, lag %v", err, lag)
		}
		enqueue(t, l, Add{"a/1", 1})
		eventually(t, l, "a/1", 1)
	})
}

// TestRestartIsQuick: on a store of one's own nobody waits for the leases of the
// process before.
func TestRestartIsQuick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.Open()
		l, err := eventlog.Open(context.Background(), drivertest.NewFaulty(store, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, crash := context.WithCancel(context.Background())
		dead := runner(l, adding)
		go func() { _ = dead.Run(ctx) }()
		sleep(time.Minute)
		again, err := eventlog.Open(context.Background(), store, nil) // as a process that starts anew
		if err != nil {
			t.Fatal(err)
		}
		enqueue(t, again, Add{"a/1", 1})
		r := runner(again, adding)
		stop := start(t, r)
		synctest.Wait()
		if got := shares(t, r); got[0] != 16 {
			t.Errorf("%d shards", got[0])
		}
		stop()
		crash()
		synctest.Wait()
	})
}

// TestNewTypeWhileOldRunnersGoOn: steps that the runners of the version before
// have parked run once one starts that knows them, and as they come, though the
// others keep their shards. The numbers stay true.
func TestNewTypeWhileOldRunnersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := open(t, store)
		old := runner(open(t, store), adding)
		start(t, old)
		sleep(time.Second)
		put := func(n int) {
			for i := range 40 {
				enqueue(t, l, named{"test.new", fmt.Sprintf("n/%d", i), n})
			}
		}
		parked := func() (n int) {
			s, err := old.Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range s.Shards {
				n += i.Parked
			}
			return n
		}
		put(1)
		sleep(10 * time.Second)
		if n := parked(); n != 40 {
			t.Errorf("%d are parked", n)
		}
		ran := 0
		fresh := runner(open(t, store), adding, outbox.Handler{Type: "test.new", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
			return tx.Append(s.Stream, Added{1})
		}})
		fresh.Hooks.Step = func(outbox.StepInfo) { ran++ }
		start(t, fresh)
		sleep(20 * time.Second)
		put(2)
		sleep(20 * time.Second)
		if got := shares(t, old, fresh); !slices.Equal(got, []int{8, 8}) {
			t.Errorf("shares %v", got)
		}
		enqueue(t, l, Add{"a/1", 1}) // so that the holders save
		sleep(20 * time.Second)
		if left := len(pending(t, l)); left != 0 || ran < 80 || parked() != 0 {
			t.Errorf("%d pending, %d ran, %d parked", left, ran, parked())
		}
		for i := range 40 {
			if got := len(added(t, l, fmt.Sprintf("n/%d", i))); got != 2 {
				t.Errorf("n/%d: %d effects", i, got)
			}
		}
	})
}
