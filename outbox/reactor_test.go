package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// Seen is what the reactors of these tests write for a number that was added,
// into a stream of another shard.
type Seen struct {
	Stream string
	N      int
}

func (Seen) EventType() string { return "test.seen" }

func see(tx *eventlog.Tx, r eventlog.Record) error {
	var a Added
	if err := r.Decode(&a); err != nil {
		return err
	}
	return tx.Append("seen/"+r.Stream, Seen{r.Stream, a.N})
}

func seeing(l *eventlog.Log) *outbox.Reactor {
	return &outbox.Reactor{Log: l, Name: "seeing", Types: []string{"test.added"}, React: see}
}

func add(t testing.TB, l *eventlog.Log, stream string, numbers ...int) {
	t.Helper()
	var list []eventlog.Event
	for _, n := range numbers {
		list = append(list, Added{n})
	}
	if _, err := l.Append(context.Background(), stream, nil, list...); err != nil {
		t.Fatal(err)
	}
}

// seen returns the numbers of a stream that were reacted to.
func seen(t testing.TB, l *eventlog.Log, stream string) []int {
	t.Helper()
	return added(t, l, "seen/"+stream)
}

func drainReactor(t testing.TB, r *outbox.Reactor) {
	t.Helper()
	if err := r.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A blockingRunner is all that has a Run.
type blockingRunner interface{ Run(context.Context) error }

func startRun(t testing.TB, r blockingRunner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// TestReactorAtOnce: what is committed in this process is reacted to at once, in
// order, and what was there before.
func TestReactorAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		add(t, l, "a/1", 1, 2)
		startRun(t, seeing(l))
		synctest.Wait()
		add(t, l, "a/1", 3)
		add(t, l, "b/1", 4, 5)
		synctest.Wait()
		if a, b := seen(t, l, "a/1"), seen(t, l, "b/1"); !slices.Equal(a, []int{1, 2, 3}) || !slices.Equal(b, []int{4, 5}) {
			t.Errorf("seen %v and %v", a, b)
		}
	})
}

// TestReactorIdle: a reactor with nothing to do costs the keeping of its leases
// and, where nobody else writes, nothing more.
func TestReactorIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		stop := startRun(t, seeing(l))
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

// TestReactorBatches: events that wait share commits.
func TestReactorBatches(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	const many = 1000
	for i := range many {
		add(t, l, "a/1", i)
	}
	drainReactor(t, seeing(l))
	if got := seen(t, l, "a/1"); len(got) != many || !slices.IsSorted(got) {
		t.Errorf("%d seen", len(got))
	}
	commits := map[eventlog.ID]bool{}
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "seen/a/1"}) {
		if err != nil {
			t.Fatal(err)
		}
		commits[r.Commit()] = true
	}
	if len(commits) > many/64+1 {
		t.Errorf("%d commits", len(commits))
	}
}

// TestReactorGoesOnInACommit: a batch may end between two events of one commit,
// and a reactor that is another one goes on there.
func TestReactorGoesOnInACommit(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	add(t, l, "a/1", 1, 2, 3, 4, 5)
	add(t, l, "a/1", 6)
	for _, wrong := range []int{3, 5, 6, 0} {
		r := seeing(l)
		r.Batch = 2
		r.React = func(tx *eventlog.Tx, r eventlog.Record) error {
			if int(r.Version) == wrong {
				return errFail
			}
			return see(tx, r)
		}
		err := r.Drain(t.Context())
		if wrong != 0 && (!errors.Is(err, errFail) || !strings.Contains(err.Error(), "a/1")) || wrong == 0 && err != nil {
			t.Errorf("%d fails: %v", wrong, err)
		}
		if got := seen(t, l, "a/1"); wrong != 0 && len(got) != wrong-1 {
			t.Errorf("%d fails: seen %v", wrong, got)
		}
	}
	if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1, 2, 3, 4, 5, 6}) {
		t.Errorf("seen %v", got)
	}
}

// TestReactorLazy: commits without an event to react to cost a write now and
// then, so that a restart does not read them all again.
func TestReactorLazy(t *testing.T) {
	t.Parallel()
	f := drivertest.NewFaulty(memlog.Open(), nil)
	l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 5000 {
		add(t, l, "a/1", i)
	}
	r := seeing(l)
	r.Types = []string{"no such type"}
	before := f.Calls("Write")
	drainReactor(t, r)
	if n := f.Calls("Write") - before; n != 1 {
		t.Errorf("%d writes", n)
	}
	reads := f.Calls("Read")
	drainReactor(t, r)
	if n := f.Calls("Read") - reads; n > 2 {
		t.Errorf("%d readings", n)
	}
}
