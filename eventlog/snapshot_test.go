package eventlog_test

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// A total is a state that shows which events it was folded of, and in which
// order.
type total struct {
	N   int
	Sum uint64
}

var totals = eventlog.Model[total]{Name: "total", Version: 1, Snapshot: 50, Folds: eventlog.Folds[total]{
	eventlog.On(func(s *total, e entry) { s.N++; s.Sum = s.Sum*31 + uint64(len(e.Text)) }),
}}

// after is the total of the first n events of snapshots.grow.
func after(n int) (s total) {
	for i := range n {
		s.N++
		s.Sum = s.Sum*31 + uint64(i%7)
	}
	return s
}

// snapshots is a store with one long stream.
type snapshots struct {
	t       *testing.T
	store   *memlog.Store
	n       int // events
	written atomic.Int64
}

func newSnapshots(t *testing.T, n int) *snapshots {
	s := &snapshots{t: t, store: memlog.NewStore()}
	s.grow(over(t, s.store.Open(), nil), n)
	return s
}

// grow appends n events, each in a commit of its own.
func (s *snapshots) grow(l *eventlog.Log, n int) {
	for range n {
		add(s.t, l, "s", strings.Repeat("x", s.n%7))
		s.n++
	}
}

// findCounter counts the commits that Find yields.
type findCounter struct {
	driver.Log
	n atomic.Int64
}

func (c *findCounter) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		for commit, err := range c.Log.Find(ctx, shard, key, r) {
			if c.n.Add(1); !yield(commit, err) {
				return
			}
		}
	}
}

// load loads the stream in a log of its own, which then writes the snapshot
// that is due. It returns how many commits were read.
func load[S any](s *snapshots, m *eventlog.Model[S], o eventlog.Options) (state S, commits int64) {
	s.t.Helper()
	o.Hooks.Snapshot = func(string, int) { s.written.Add(1) }
	counter := &findCounter{Log: s.store.Open()}
	l, err := eventlog.Open(s.t.Context(), counter, &o)
	if err != nil {
		s.t.Fatal(err)
	}
	is(s.t, l.View(s.t.Context(), func(tx *eventlog.Tx) error {
		got, err := m.Load(tx, "s")
		if err == nil {
			state, commits = *got, counter.n.Load()
		}
		return err
	}), nil)
	is(s.t, l.Close(), nil) // waits for the snapshot
	return state, commits
}

// TestSnapshotsAreUsed: a long stream is read once; later a snapshot and what
// came behind it are enough.
func TestSnapshotsAreUsed(t *testing.T) {
	t.Parallel()
	s := newSnapshots(t, 400)
	for i, c := range []struct {
		more    int
		commits int64 // read at most
		written int64
	}{
		{0, 400, 1}, {0, 40, 1}, {10, 50, 1}, {39, 90, 1}, {1, 90, 2}, {0, 40, 2},
	} {
		s.grow(over(t, s.store.Open(), nil), c.more)
		state, commits := load(s, &totals, eventlog.Options{})
		if state != after(s.n) {
			t.Errorf("round %d: %+v, expected %+v", i, state, after(s.n))
		}
		if commits > c.commits || i == 0 && commits < 400 {
			t.Errorf("round %d: %d commits read for %d events, expected up to %d", i, commits, s.n, c.commits)
		}
		if n := s.written.Load(); n != c.written {
			t.Errorf("round %d: %d snapshots written, expected %d", i, n, c.written)
		}
	}
}

// TestSnapshotsAreNotWritten of short streams, when the model does not want
// any, and of states that would not come back the same.
func TestSnapshotsAreNotWritten(t *testing.T) {
	t.Parallel()
	type hidden struct {
		N int
		m int // JSON does not see it
	}
	type left struct {
		N int
		M int `json:"-"`
	}
	type lossy struct{ V json.Number }
	never, standard := totals, totals
	never.Snapshot, standard.Snapshot = -1, 0
	for name, c := range map[string]struct {
		n    int
		load func(s *snapshots)
		want int64
	}{
		"short":          {49, func(s *snapshots) { load(s, &totals, eventlog.Options{}) }, 0},
		"long enough":    {50, func(s *snapshots) { load(s, &totals, eventlog.Options{}) }, 1},
		"never":          {300, func(s *snapshots) { load(s, &never, eventlog.Options{}) }, 0},
		"default, short": {127, func(s *snapshots) { load(s, &standard, eventlog.Options{}) }, 0},
		"default, long":  {128, func(s *snapshots) { load(s, &standard, eventlog.Options{}) }, 1},
		"unexported": {200, func(s *snapshots) {
			load(s, &eventlog.Model[hidden]{Name: "h", Folds: eventlog.Folds[hidden]{eventlog.On(func(s *hidden, e entry) { s.N++; s.m++ })}}, eventlog.Options{})
		}, 0},
		"left out": {200, func(s *snapshots) {
			load(s, &eventlog.Model[left]{Name: "l", Folds: eventlog.Folds[left]{eventlog.On(func(s *left, e entry) { s.N++; s.M++ })}}, eventlog.Options{})
		}, 0},
		"no JSON": {200, func(s *snapshots) {
			load(s, &eventlog.Model[lossy]{Name: "v", Folds: eventlog.Folds[lossy]{eventlog.On(func(s *lossy, e entry) { s.V = "x" })}}, eventlog.Options{})
		}, 0},
		"maps without Clone": {200, func(s *snapshots) {
			load(s, counting("map", func(s *mapState) *map[string]int { return &s.Texts }), eventlog.Options{})
		}, 0},
		"maps with Clone": {200, func(s *snapshots) {
			load(s, counting("clone", func(s *cloneState) *map[string]int { return &s.Texts }), eventlog.Options{})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSnapshots(t, c.n)
			if c.load(s); s.written.Load() != c.want {
				t.Errorf("%d snapshots of %d events, expected %d", s.written.Load(), c.n, c.want)
			}
		})
	}
}

// TestOldViewsIgnoreNewSnapshots: a View that began before the snapshot does not
// start at it.
func TestOldViewsIgnoreNewSnapshots(t *testing.T) {
	t.Parallel()
	s := newSnapshots(t, 100)
	l := over(t, s.store.Open(), nil)
	runs := 0
	is(t, l.View(t.Context(), func(tx *eventlog.Tx) error {
		if _, err := diaries.Load(tx, inShard(l, l.ShardOf("s"), "other")); err != nil {
			return err
		}
		if runs++; runs == 1 {
			s.grow(l, 100)
			load(s, &totals, eventlog.Options{})
		}
		got, err := totals.Load(tx, "s")
		if err == nil && *got != after(100) {
			t.Errorf("the View has %+v, expected %+v", *got, after(100))
		}
		return err
	}), nil)
	if s.written.Load() != 1 {
		t.Error("no snapshot was written")
	}
}

// TestLostWritesAreInNoSnapshot: a state that was folded of pending events is not
// kept when these are lost.
func TestLostWritesAreInNoSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		f := drivertest.NewFaulty(store.Open(), nil)
		l := over(t, f, nil)
		gate, first := make(chan struct{}), true
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != "Write" || !first {
				return drivertest.Fault{}
			}
			first = false
			return drivertest.Fault{Kind: drivertest.Fail, Before: gate}
		})
		lost := begin(func() error {
			_, err := l.Append(t.Context(), "s", nil, entries(strings.Split(strings.Repeat("lost ", 99), " ")...)...)
			return err
		})
		synctest.Wait()
		saw := 0
		reader := begin(func() error {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				s, err := totals.Load(tx, "s")
				if err == nil {
					saw = max(saw, s.N)
				}
				return err
			})
			return err
		})
		synctest.Wait()
		close(gate)
		is(t, <-lost, drivertest.ErrInjected)
		is(t, <-reader, nil)
		s := &snapshots{t: t, store: store}
		s.grow(l, 120)
		synctest.Wait()
		if state, _ := load(s, &totals, eventlog.Options{}); state != after(120) || saw != 100 {
			t.Errorf("%+v, expected %+v; %d lost events were seen", state, after(120), saw)
		}
	})
}
