package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// process opens one of several logs over a store, each standing for a process,
// with a clock that is off by so much.
func process(t *testing.T, store *memlog.Store, o eventlog.Options, off time.Duration) (*eventlog.Log, *drivertest.Faulty) {
	t.Helper()
	eventlog.SetNow(&o, func() time.Time { return time.Now().Add(off) })
	f := drivertest.NewFaulty(store.Open(), nil)
	return over(t, f, &o), f
}

// hideWatch keeps what moves from those who watch.
func hideWatch(c drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Hide} }

// TestFollowOtherProcesses: a follower of one shard gets what another process
// wrote as soon as the store tells; one of several shards MaxSkew after its
// time, when nothing earlier can come any more.
func TestFollowOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		o := eventlog.Options{MaxSkew: 10 * time.Second, Poll: time.Hour}
		here, _ := process(t, store, o, 0)
		there, _ := process(t, store, o, 0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, log := follow(ctx, here, eventlog.Query{Stream: "s"}), follow(ctx, here, eventlog.Query{})
		synctest.Wait()
		add(t, there, "s", "1")
		synctest.Wait()
		if a, b := stream.texts(t), log.texts(t); a != "1" || b != "" {
			t.Errorf("at once the stream shows %q, the log %q; expected 1 and nothing", a, b)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := log.texts(t); got != "" {
			t.Errorf("before MaxSkew was over the log shows %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := log.texts(t); got != "1" {
			t.Errorf("after MaxSkew the log shows %q, expected 1", got)
		}
		cancel()
	})
}

// TestFollowKeepsOrderOverProcesses: while clocks keep MaxSkew, followers of
// every process get the order of the replay.
func TestFollowKeepsOrderOverProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		o := eventlog.Options{Shards: 3, MaxSkew: time.Second}
		var logs []*eventlog.Log
		for _, off := range []time.Duration{0, 400 * time.Millisecond, -400 * time.Millisecond} {
			l, _ := process(t, store, o, off)
			logs = append(logs, l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var list []*follower
		for _, l := range logs {
			list = append(list, follow(ctx, l, eventlog.Query{}))
		}
		var wg sync.WaitGroup
		for p, l := range logs {
			for w := range 2 {
				wg.Go(func() {
					for n := range 20 {
						_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
							return join(tx.Append(fmt.Sprint("s/", (w+n)%9), entry{"x"}), tx.Append(fmt.Sprint("s/", (p+w)*n%9), entry{"y"}))
						})
						if err != nil {
							t.Error(err)
						}
						time.Sleep(time.Duration((p+2*w+n)%7) * 50 * time.Millisecond)
					}
				})
			}
		}
		wg.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		replay := collect(t, logs[0].Read(ctx, eventlog.Query{}))
		if len(replay) != 3*2*20*2 {
			t.Errorf("%d records, expected %d", len(replay), 3*2*20*2)
		}
		for p, f := range list {
			sameOrder(t, fmt.Sprintf("the follower in process %d", p), f.records(), replay)
		}
		cancel()
	})
}

// TestPoll: a follower that nobody tells anything looks for itself, and Wake
// rings for it; a wrong ring does no harm.
func TestPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, faults := process(t, store, eventlog.Options{Poll: time.Minute}, 0)
		there, _ := process(t, store, eventlog.Options{}, 0)
		faults.Inject(hideWatch)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := follow(ctx, here, eventlog.Query{Stream: "s"})
		synctest.Wait()
		expect := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := f.texts(t); got != want {
				t.Errorf("%s the follower has %q, expected %q", when, got, want)
			}
		}
		add(t, there, "s", "1")
		expect("before the poll", "")
		time.Sleep(61 * time.Second)
		expect("after the poll", "1")
		p := add(t, there, "s", "2")
		for _, wrong := range []int{-1, 99, (here.ShardOf("s") + 1) % 16} {
			here.Wake(wrong, 1<<40)
		}
		here.Wake(here.ShardOf("s"), 0)
		expect("after wrong rings", "1")
		here.Wake(here.ShardOf("s"), p.Revision(here.ShardOf("s")))
		expect("after the ring", "1 2")
		here.Wake(here.ShardOf("s"), 1<<40)
		expect("after a ring that lies", "1 2")
		cancel()
	})
}

// TestWatchFails: without the store's help a follower polls.
func TestWatchFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, faults := process(t, store, eventlog.Options{Poll: time.Minute}, 0)
		there, _ := process(t, store, eventlog.Options{}, 0)
		faults.Inject(drivertest.Nth("Watch", 1, drivertest.Fault{Kind: drivertest.Fail}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := follow(ctx, here, eventlog.Query{Stream: "s"})
		synctest.Wait()
		add(t, there, "s", "1")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := f.texts(t); got != "1" {
			t.Errorf("the follower has %q, expected 1", got)
		}
		cancel()
	})
}

// TestWaitFor returns when a position is reached, by whatever process, and ends
// with ctx and with the log.
func TestWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, _ := process(t, store, eventlog.Options{Poll: time.Hour}, 0)
		there, _ := process(t, store, eventlog.Options{}, 0)
		p := add(t, there, "s", "1")
		is(t, here.WaitFor(t.Context(), p), nil)
		is(t, here.WaitFor(t.Context(), eventlog.Position{}), nil)
		shard := here.ShardOf("s")
		next := eventlog.Position{}.With(shard, p.Revision(shard)+1)
		ctx, cancel := context.WithCancel(t.Context())
		reached := begin(func() error { return here.WaitFor(t.Context(), next) })
		ended := begin(func() error { return here.WaitFor(ctx, next) })
		closed := begin(func() error { return here.WaitFor(t.Context(), next.With(0, 1<<40)) })
		foreign := begin(func() error { return here.WaitFor(t.Context(), eventlog.Position{}.With(16, 1)) })
		synctest.Wait()
		unanswered(t, "WaitFor", reached)
		cancel()
		is(t, <-ended, context.Canceled)
		if err := <-foreign; err == nil || errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("WaitFor a shard that the log lacks: %v", err)
		}
		is(t, there.WaitFor(t.Context(), add(t, there, "s", "2")), nil)
		is(t, <-reached, nil)
		is(t, here.Close(), nil)
		is(t, <-closed, eventlog.ErrClosed)
	})
}

// TestOnCommit tells of every shard of every write, once it is durable, until
// it is removed.
func TestOnCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fresh(t)
		told := make(chan driver.Head, 10)
		remove := l.OnCommit(func(h driver.Head) { told <- h })
		second := 0
		removeSecond := l.OnCommit(func(driver.Head) { second++ })
		p := update(t, l, func(tx *eventlog.Tx) error {
			return join(tx.Append(inShard(l, 3, "s"), entry{"1"}), tx.Append(inShard(l, 5, "s"), entry{"1"}))
		})
		got := eventlog.Position{}
		for range 2 {
			h := <-told
			got = got.With(h.Shard, h.Revision)
		}
		if got.String() != p.String() {
			t.Errorf("told of %s, written was %s", got, p)
		}
		synctest.Wait()
		remove()
		remove()                                                                                  // once more does nothing
		update(t, l, func(tx *eventlog.Tx) error { _, err := diaries.Load(tx, "s"); return err }) // no write
		add(t, l, "s", "2")
		synctest.Wait()
		if len(told) != 0 || second != 3 {
			t.Errorf("told %d times after the removal, the other one %d times in all, expected 0 and 3", len(told), second)
		}
		removeSecond()
	})
}

// TestOnMove: who listens hears of other processes' commits at once, of this
// process's own not in this way, and nothing any more when it has left.
func TestOnMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, _ := process(t, store, eventlog.Options{Poll: time.Hour}, 0)
		there, _ := process(t, store, eventlog.Options{}, 0)
		var mu sync.Mutex
		var heard []driver.Head
		remove := here.OnMove(func(h driver.Head) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, h)
		})
		synctest.Wait()
		add(t, there, "s", "1")
		synctest.Wait()
		mu.Lock()
		if want := (driver.Head{Shard: here.ShardOf("s"), Revision: 1}); len(heard) != 1 || heard[0] != want {
			t.Errorf("heard %v, expected %v", heard, want)
		}
		mu.Unlock()
		remove()
		remove()
		synctest.Wait()
		add(t, there, "s", "2")
		synctest.Wait()
		if len(heard) != 1 {
			t.Errorf("heard %v after it has left", heard)
		}
	})
}

// TestOnMoveAfterOutage: a store that fails to tell once tells again later.
func TestOnMoveAfterOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, f := process(t, store, eventlog.Options{Poll: time.Minute}, 0)
		there, _ := process(t, store, eventlog.Options{}, 0)
		f.Inject(drivertest.Nth("Watch", 1, drivertest.Fault{Kind: drivertest.Fail}))
		heard := make(chan driver.Head, 10)
		defer here.OnMove(func(h driver.Head) { heard <- h })()
		time.Sleep(2 * time.Minute)
		add(t, there, "s", "1")
		synctest.Wait()
		if len(heard) != 1 {
			t.Errorf("heard %d times", len(heard))
		}
	})
}
