package outbox_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestLooks: on a store that others write to, too, steps of this process are taken from
// memory, its other commits cost nothing, and a sweep that finds nothing asks only where
// the shard ends. What others write is found.
func TestLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		var finds atomic.Int64
		count := func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Find" && strings.HasPrefix(c.Key, "$steps/") {
				finds.Add(1)
			}
			if c.Method == "Watch" {
				return drivertest.Fault{Kind: drivertest.Hide}
			}
			return drivertest.Fault{}
		}
		open := func(d driver.Log) *eventlog.Log {
			l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			return l
		}
		here, there := open(drivertest.NewFaulty(store.Open(), count)), open(store.Open())
		expect := func(what string, most int64) {
			t.Helper()
			synctest.Wait()
			if n := finds.Swap(0); n > most {
				t.Errorf("%s: %d look-ups of steps, want %d", what, n, most)
			}
		}
		done := func(to string) {
			t.Helper()
			if got := added(t, there, to); len(got) != 1 {
				t.Errorf("%s: %v", to, got)
			}
		}
		start(t, runner(here, relaying))
		time.Sleep(10 * time.Second)
		expect("at first", 1)
		for i := range 20 {
			append1(t, here, fmt.Sprintf("c/%d", i))
		}
		expect("other commits", 0)
		enqueue(t, here, Relay{[]string{"a/1"}, 1})
		synctest.Wait()
		finds.Store(0) // the first one
		for i := range 20 {
			enqueue(t, here, Relay{[]string{fmt.Sprintf("b/%d", i)}, i})
			synctest.Wait()
			done(fmt.Sprintf("b/%d", i))
		}
		expect("own steps", 0)
		time.Sleep(20 * time.Second)
		expect("sweeps in vain", 0)
		enqueue(t, there, Relay{[]string{"d/1"}, 1})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		done("d/1")
		expect("steps of others", 2)
		append1(t, there, "c/1")
		time.Sleep(20 * time.Second)
		expect("another commit of others", 1)
	})
}

func append1(t *testing.T, l *eventlog.Log, stream string) {
	t.Helper()
	if _, err := l.Append(t.Context(), stream, nil, Added{1}); err != nil {
		t.Fatal(err)
	}
}

// TestLooksAfterRestart: who takes over a shard with steps that are done does not look
// for steps at each commit without any.
func TestLooksAfterRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		first := open(t, store)
		enqueue(t, first, Relay{[]string{"a/1", "b/1"}, 5})
		drain(t, runner(first, relaying))
		var finds atomic.Int64
		count := func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Find" && strings.HasPrefix(c.Key, "$steps/") {
				finds.Add(1)
			}
			return drivertest.Fault{}
		}
		l, err := eventlog.Open(t.Context(), drivertest.NewFaulty(store.Open(), count), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		start(t, runner(l, relaying))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		finds.Store(0)
		for range 20 {
			append1(t, l, "a/1")
			synctest.Wait()
			append1(t, l, "b/1")
			synctest.Wait()
		}
		if n := finds.Load(); n > 2 {
			t.Errorf("%d look-ups of steps at 40 commits without any", n)
		}
	})
}
