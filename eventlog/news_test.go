package eventlog_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// A quiet store is one like Datastore: others write to it, and it does not tell.
type quiet struct{ driver.Log }

func (quiet) Watch(context.Context) iter.Seq2[driver.Head, error] {
	return func(func(driver.Head, error) bool) {}
}

// counted counts the calls of a store.
type counted struct {
	mu    sync.Mutex
	calls map[string]int
}

// take returns how often a method was called since the last time.
func (c *counted) take(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.calls[method]
	delete(c.calls, method)
	return n
}

// besides opens a log of one shard twice: as two processes, the calls of the first of
// which are counted.
func besides(t *testing.T) (here, there *eventlog.Log, calls *counted) {
	t.Helper()
	store := memlog.NewStore()
	calls = &counted{calls: make(map[string]int)}
	count := func(c drivertest.Call) drivertest.Fault {
		calls.mu.Lock()
		defer calls.mu.Unlock()
		calls.calls[c.Method]++
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
	here, there = open(drivertest.NewFaulty(quiet{store.Open()}, count)), open(quiet{store.Open()})
	return here, there, calls
}

func addOne(t *testing.T, l *eventlog.Log, stream string) eventlog.Position {
	t.Helper()
	p, err := l.Append(t.Context(), stream, nil, entry{"x"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFollowingCosts: who follows a stream asks the store where this process added to
// it, where it is told that others wrote, and at each poll: not for each commit of the
// shard.
func TestFollowingCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there, calls := besides(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []uint64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for r, err := range here.Read(ctx, eventlog.Query{Stream: "a", Follow: true}) {
				if err == nil {
					got = append(got, r.Version)
				}
			}
		}()
		expect := func(what string, versions, finds int) {
			t.Helper()
			synctest.Wait()
			if n := calls.take("Find"); len(got) != versions || n != finds {
				t.Errorf("%s: %d versions by %d look-ups, want %d by %d", what, len(got), n, versions, finds)
			}
		}
		expect("at first", 0, 1)
		addOne(t, here, "a")
		addOne(t, here, "b")
		synctest.Wait()
		calls.take("Find")
		for range 100 {
			addOne(t, here, "b")
		}
		expect("other streams", 1, 0)
		addOne(t, here, "a")
		expect("this stream", 2, 1)
		p := addOne(t, there, "a")
		expect("unheard of", 2, 0)
		here.Wake(0, p.Revision(0))
		expect("told", 3, 1)
		addOne(t, there, "a")
		time.Sleep(time.Second)
		expect("after a poll", 4, 1)
		addOne(t, here, "b") // behind what it did not know
		synctest.Wait()
		calls.take("Find")
		addOne(t, here, "b")
		expect("other streams again", 4, 0)
		cancel()
		<-done
	})
}

// TestTailsCost: what this process writes costs no look at the store, neither who
// follows a shard nor who waits for a position.
func TestTailsCost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there, calls := besides(t)
		calls.take("Tail")
		ctx, cancel := context.WithCancel(t.Context())
		at := driver.Revision(99)
		done := make(chan error)
		go func() {
			for rev, err := range here.Tails(ctx, 0) {
				if err != nil {
					done <- err
					return
				}
				at = rev
			}
		}()
		expect := func(what string, rev driver.Revision, tails int) {
			t.Helper()
			synctest.Wait()
			if n := calls.take("Tail"); at != rev || n != tails {
				t.Errorf("%s: at %d by %d looks, want %d by %d", what, at, n, rev, tails)
			}
		}
		expect("an empty shard", 0, 1)
		for rev := range 20 {
			addOne(t, here, "a")
			expect("own commits", driver.Revision(rev)+1, 0)
		}
		p := addOne(t, here, "a")
		if err := here.WaitFor(t.Context(), p); err != nil {
			t.Error(err)
		}
		expect("an own position", 21, 0)
		p = addOne(t, there, "a")
		expect("unheard of", 21, 0)
		here.Wake(0, p.Revision(0))
		expect("told", 22, 1)
		here.Wake(0, 1000)
		expect("told a lie", 22, 1)
		p = addOne(t, there, "a")
		here.Wake(0, p.Revision(0))
		expect("told after a lie", 23, 1)
		addOne(t, there, "a")
		time.Sleep(time.Second)
		expect("after a poll", 24, 1)
		time.Sleep(5 * time.Second)
		expect("idle", 24, 5)
		p = addOne(t, there, "a")
		if err := here.WaitFor(t.Context(), p); err != nil {
			t.Error(err)
		}
		if calls.take("Tail") != 1 {
			t.Error("a position of another process is not looked for at once, once")
		}
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("ended with %v", err)
		}
		for _, err := range here.Tails(t.Context(), 1) {
			if err == nil {
				t.Error("a shard that is not there has a tail")
			}
		}
	})
}

// TestGrown: whether there is more of a stream costs a look at where the shard ends.
func TestGrown(t *testing.T) {
	t.Parallel()
	here, there, calls := besides(t)
	calls.take("Find")
	version, asOf := uint64(0), driver.Revision(0)
	grown := func(what string, want bool) {
		t.Helper()
		got, at, err := here.Grown(t.Context(), "a", version, asOf)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", what, got, err, want)
		}
		asOf = at
	}
	grown("nothing is there", false)
	addOne(t, here, "b")
	grown("another stream", false)
	addOne(t, here, "a")
	calls.take("Find") // of the append
	grown("a new stream", true)
	version = 1
	grown("it was read", false)
	addOne(t, there, "a")
	grown("others wrote", true)
	version = 2
	grown("that was read", false)
	addOne(t, here, "b") // it learns of what others wrote
	calls.take("Find")
	grown("another stream again", false)
	addOne(t, there, "b")
	grown("others wrote something else", true)
	grown("that was looked at", false)
	if n := calls.take("Find"); n > 0 {
		t.Errorf("%d look-ups", n)
	}
}

// TestOwn: what this process wrote a moment ago is read from memory, if nothing of others
// stands between.
func TestOwn(t *testing.T) {
	t.Parallel()
	here, there, calls := besides(t)
	n := 0
	put := func(l *eventlog.Log) {
		t.Helper()
		n++
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return tx.Append("$steps/0", freshEvent(n)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(what string, from, finds int, own bool, want ...string) {
		t.Helper()
		var got []string
		for r, err := range here.Read(t.Context(), eventlog.Query{Stream: "$steps/0", From: uint64(from), Own: own}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(r.Data))
		}
		if n := calls.take("Find"); !slices.Equal(got, want) || n != finds {
			t.Errorf("%s: %q by %d look-ups, want %q by %d", what, got, n, want, finds)
		}
	}
	put(here)
	put(here)
	calls.take("Find")
	read("own", 2, 0, true, "2")
	read("also others'", 2, 1, false, "2")
	put(there)
	read("own, and nothing is known of others", 2, 0, true, "2")
	read("also others', unheard of", 2, 1, false, "2", "3")
	put(here)
	calls.take("Find")
	read("behind others", 2, 1, true, "2", "3", "4")
	read("own again", 4, 0, true, "4")
}

var nothing = eventlog.Model[struct{ N int }]{Name: "nothing", Version: 1, Folds: eventlog.Folds[struct{ N int }]{
	eventlog.On(func(s *struct{ N int }, _ entry) { s.N++ }),
}}

// TestPrefetch: states are read at the same time, and a transaction then asks for none of
// them.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		finds, two := 0, make(chan struct{})
		var mu sync.Mutex
		slow := drivertest.NewFaulty(quiet{store.Open()}, func(c drivertest.Call) drivertest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if c.Method != "Find" {
				return drivertest.Fault{}
			}
			if finds++; finds == 2 {
				close(two)
			}
			return drivertest.Fault{Before: two} // one alone would wait for ever
		})
		l, err := eventlog.Open(t.Context(), slow, &eventlog.Options{Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		other, err := eventlog.Open(t.Context(), store.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprintf("s/%d", i))
		}
		load := func() (events int) {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				for _, name := range names {
					s, err := nothing.Load(tx, name)
					if err != nil {
						return err
					}
					events += s.N
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return events
		}
		if err := nothing.Prefetch(t.Context(), l, names...); err != nil {
			t.Fatal(err)
		}
		if n := load(); n != 0 || finds != len(names) {
			t.Errorf("%d events by %d look-ups, want 0 by %d", n, finds, len(names))
		}
		if err := nothing.Prefetch(t.Context(), l); err != nil {
			t.Errorf("of none: %v", err)
		}
		if err := nothing.Prefetch(t.Context(), l, ""); err == nil {
			t.Error("a stream without a name")
		}
		addOne(t, other, names[3]) // what others write makes none of it wrong
		if n := load(); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}
