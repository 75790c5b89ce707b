package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/race"
	"github.com/rollforward/rollforward/outbox"
)

// Count is a step that enqueues the next one for its own target.
type Count struct {
	To      string
	N, Last int
	Pad     string
	Other   string // also gets one each time
}

func (Count) StepType() string { return "test.count" }
func (c Count) Target() string { return c.To }

var counting = outbox.On(func(tx *eventlog.Tx, c Count) error {
	if err := tx.Append(c.To, Added{c.N}, eventlog.Raw{Type: "test.pad", Data: []byte(`"` + c.Pad + `"`)}); err != nil {
		return err
	}
	if c.Other != "" {
		if err := outbox.Enqueue(tx, Add{c.Other, c.N}); err != nil {
			return err
		}
	}
	if c.N == c.Last {
		return nil
	}
	c.N++
	return outbox.Enqueue(tx, c)
}, nil)

func counted(t testing.TB, l *eventlog.Log, stream string) (list []int) {
	t.Helper()
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: stream, Types: []string{"test.added"}}) {
		var a Added
		if err == nil {
			err = r.Decode(&a)
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a.N)
	}
	return list
}

func firstNumbers(n int) (list []int) {
	for i := 1; i <= n; i++ {
		list = append(list, i)
	}
	return list
}

// TestChainInFewCommits: a chain of steps for one target shares commits: 1,200
// tiny ones need at most 12.
func TestChainInFewCommits(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	enqueue(t, l, Count{To: "a/1", N: 1, Last: 1200, Other: "b/1"})
	drain(t, runner(l, counting, adding))
	if got := counted(t, l, "a/1"); !slices.Equal(got, firstNumbers(1200)) {
		t.Errorf("%d numbers", len(got))
	}
	if got := added(t, l, "b/1"); !slices.Equal(got, firstNumbers(1200)) {
		t.Errorf("others: %d numbers, %v", len(got), slices.IsSorted(got))
	}
	if n := commits(t, l, "a/1"); n > 12 {
		t.Errorf("%d commits", n)
	}
	if n := len(pending(t, l)); n != 0 {
		t.Errorf("%d pending", n)
	}
}

// TestChainOfLargeEffects goes on in the next commit when one is full.
func TestChainOfLargeEffects(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	enqueue(t, l, Count{To: "a/1", N: 1, Last: 40, Pad: strings.Repeat("x", 100_000)})
	drain(t, runner(l, counting))
	if got := counted(t, l, "a/1"); !slices.Equal(got, firstNumbers(40)) {
		t.Errorf("%v", got)
	}
	if n := commits(t, l, "a/1"); n < 10 || n > 40 {
		t.Errorf("%d commits", n)
	}
	if n, m := len(pending(t, l)), len(dead(t, l)); n+m != 0 {
		t.Errorf("%d pending, %d dead", n, m)
	}
}

// TestChainLetsOthersGo: a chain without end does not keep others of its shard,
// or of its target, from their turn.
func TestChainLetsOthersGo(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	enqueue(t, l, Count{To: "a/1", N: 1, Last: 1 << 40})
	near := streamIn(l, "b", l.ShardOf("a/1"), true)
	r := runner(l, counting, adding)
	stop := start(t, r)
	for i := range 20 {
		enqueue(t, l, Add{near, i}, Add{"a/1", -i})
		for {
			p, err := l.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(added(t, l, near)) > i {
				break
			}
			for range l.Read(t.Context(), eventlog.Query{Shards: []int{l.ShardOf("a/1")}, After: p, Follow: true, System: true, Limit: 1}) {
			}
		}
	}
	n := 0
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "a/1", Types: []string{"test.added"}, Follow: true}) {
		var x Added
		if err == nil {
			err = r.Decode(&x)
		}
		if err != nil {
			t.Fatal(err)
		}
		if x.N < 0 || x.N == 0 {
			n++
		}
		if n == 20 { // or the test never ends
			break
		}
	}
	stop()
}

// TestChainKeepsOrder: what is ahead of a step that a handler enqueues for its own
// target runs before it.
func TestChainKeepsOrder(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for i := range 40 { // all in the target's own shard
		enqueue(t, l, Count{To: "a/1", N: 100 * i, Last: 100*i + 2})
	}
	for _, batch := range []int{3, 128} {
		r := runner(l, counting)
		r.Batch = batch
		drain(t, r)
	}
	got := counted(t, l, "a/1")
	if len(got) != 120 {
		t.Fatalf("%d numbers", len(got))
	}
	// Each step stands before those that were enqueued after it: first all that
	// were enqueued from outside, then the seconds, then the thirds.
	for i, n := range got {
		if n%100 != i/40 || n/100 != i%40 {
			t.Fatalf("at %d: %v", i, got)
		}
	}
}

// TestChainBreaks: a chained step that fails is rolled back alone and tried as a
// step of its own, with its attempts counted.
func TestChainBreaks(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	broken := new(atomic.Bool)
	broken.Store(true)
	again := outbox.On(func(tx *eventlog.Tx, f Fail) error {
		if err := tx.Append(f.To, Added{1}); err != nil {
			return err
		}
		if broken.Load() {
			return outbox.Abort(errFail)
		}
		return nil
	}, nil)
	first := outbox.On(func(tx *eventlog.Tx, a Add) error {
		if err := tx.Append(a.To, Added{0}); err != nil {
			return err
		}
		for _, s := range []outbox.Step{Add2{a.To, 10}, Fail{a.To}, Add2{a.To, 20}} {
			if err := outbox.Enqueue(tx, s); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	second := outbox.On(func(tx *eventlog.Tx, a Add2) error { return tx.Append(a.To, Added{a.N}) }, nil)
	enqueue(t, l, Add{"a/1", 0})
	r := runner(l, first, second, again)
	drain(t, r)
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{0, 10, 20}) {
		t.Errorf("%v", got)
	}
	if list := dead(t, l); len(list) != 1 || list[0].Attempts != 1 || list[0].Cause.IsZero() {
		t.Errorf("%+v", list)
	}
	broken.Store(false)
	redrive(t, l, outbox.Filter{}, byAnn, 1)
	drain(t, r)
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{0, 10, 20, 1}) {
		t.Errorf("%v", got)
	}
}

// Add2 is another Add.
type Add2 struct {
	To string
	N  int
}

func (Add2) StepType() string { return "test.add2" }
func (a Add2) Target() string { return a.To }

// TestFanIn: steps of many commits into one target need as few commits of it as
// they have batches.
func TestFanIn(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	total := 100_000
	if race.Enabled || testing.Short() {
		total = 10_000
	}
	for n := 0; n < total; n += 500 {
		var steps []outbox.Step
		for i := range 500 {
			steps = append(steps, Add{"a/1", n + i})
		}
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tx.Append(fmt.Sprintf("source/%d", n), Added{n}); err != nil {
				return err
			}
			for _, s := range steps {
				if err := outbox.Enqueue(tx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	drain(t, runner(l, adding))
	got := added(t, l, "a/1")
	slices.Sort(got)
	if len(got) != total || got[0] != 0 || got[total-1] != total-1 {
		t.Errorf("%d effects", len(got))
	}
	if n, most := commits(t, l, "a/1"), total/128+10*l.Shards(); n > most {
		t.Errorf("%d commits, at most %d", n, most)
	}
}
