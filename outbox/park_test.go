package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

var errNewer = errors.New("made by version 9")

// parking is a handler of yesterday: it leaves all of its steps to another program.
func parking(typ string, p outbox.Policy) outbox.Handler {
	return outbox.Handler{Type: typ, Policy: p, Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		err := errors.Join(tx.Append(s.Stream, Added{-1}), outbox.Enqueue(tx, Add{s.Stream, -2}))
		return errors.Join(err, fmt.Errorf("version 8: %w", outbox.Park(errNewer)))
	}}
}

func doing(typ string, n int) outbox.Handler {
	return outbox.Handler{Type: typ, Do: func(tx *eventlog.Tx, s outbox.Raw) error { return tx.Append(s.Stream, Added{n}) }}
}

// outcomes returns how many events there are of what became of steps.
func outcomes(t testing.TB, l *eventlog.Log) (n int) {
	t.Helper()
	for shard := range l.Shards() {
		for _, stream := range []string{"$outcomes/%d", "$dead/%d"} {
			for _, err := range l.Read(context.Background(), eventlog.Query{Stream: fmt.Sprintf(stream, shard)}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
	}
	return n
}

// TestPark: a step whose handler parks it is left as it was, by all kinds of handlers,
// and those behind it go on, also where its Policy is Ordered; it is pending, with the
// reason, counted, and done when the next program starts.
func TestPark(t *testing.T) {
	t.Parallel()
	both := fmt.Errorf("version 8: %w", outbox.Abort(outbox.Park(errNewer)))
	for name, h := range map[string]outbox.Handler{
		"Do":      parking("test.new", outbox.Policy{}),
		"ordered": parking("test.new", outbox.Policy{Ordered: true, Attempts: 1}),
		"hasty":   parking("test.new", outbox.Policy{Priority: 9}),
		"Effect": {Type: "test.new", Effect: func(context.Context, string, outbox.Raw) (outbox.Step, error) {
			return Add{"a/1", -3}, both
		}},
		"Abort": {Type: "test.new", Do: func(*eventlog.Tx, outbox.Raw) error { return both }},
		"Failed": {Type: "test.new", Do: func(*eventlog.Tx, outbox.Raw) error { return outbox.Abort(errFail) },
			Failed: func(tx *eventlog.Tx, s outbox.Raw, _ error) error {
				return errors.Join(tx.Append(s.Stream, Added{-4}), both)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := over(t, memlog.Open(), single)
				for i := range 5 {
					enqueue(t, l, named{"test.new", "a/1", i}, Add{"a/1", i})
				}
				r := runner(l, adding, h)
				told, batches := 0, 0
				r.Hooks.Batch = func(outbox.BatchInfo) { batches++ }
				r.Hooks.Step = func(i outbox.StepInfo) {
					if i.Type == "test.new" || i.Outcome != outbox.StepDone {
						told++
					}
				}
				stop := start(t, r)
				sleep(time.Minute)
				if got := added(t, l, "a/1"); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
					t.Errorf("a/1: %v", got)
				}
				if n := outcomes(t, l); n != 5 || told != 0 {
					t.Errorf("%d outcomes were written and %d told", n, told)
				}
				if name == "ordered" && batches != 1 {
					t.Errorf("%d batches: the others did not go on", batches)
				}
				list := pending(t, l)
				for _, i := range list {
					if i.Type != "test.new" || !strings.Contains(i.Parked, errNewer.Error()) || i.Attempts != 0 {
						t.Errorf("%+v", i)
					}
				}
				if due, parked, stopped := waiting(t, r); len(list) != 5 || due != 0 || parked != 5 || stopped != 0 {
					t.Errorf("%d pending, %d wait, %d are parked, %d stopped", len(list), due, parked, stopped)
				}
				stop()
				r = runner(l, adding, h)
				stop = start(t, r) // it parks them again
				sleep(time.Minute)
				if _, parked, _ := waiting(t, r); parked != 5 {
					t.Errorf("%d are parked", parked)
				}
				stop()
				r = runner(l, adding, doing("test.new", 9))
				start(t, r)
				sleep(time.Minute)
				if got := added(t, l, "a/1"); !slices.Equal(got, []int{0, 1, 2, 3, 4, 9, 9, 9, 9, 9}) {
					t.Errorf("a/1: %v", got)
				}
				if _, parked, _ := waiting(t, r); parked != 0 || cellsLeft(t, l) != 0 || len(pending(t, l)) != 0 {
					t.Errorf("%d are parked, %d cells are left", parked, cellsLeft(t, l))
				}
			})
		})
	}
}

// TestParkedHead: an ordered step that has failed stops its target no more when it is
// parked: nobody here would learn that another program has done it.
func TestParkedHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := over(t, memlog.Open(), single)
		attempts := 0
		h := outbox.Handler{Type: "test.new", Policy: outbox.Policy{Ordered: true, Backoff: time.Minute}, Do: func(*eventlog.Tx, outbox.Raw) error {
			if attempts++; attempts > 1 {
				return outbox.Park(errNewer)
			}
			return errFail
		}}
		r := runner(l, adding, h)
		start(t, r)
		enqueue(t, l, named{"test.new", "a/1", 0})
		for i := range 20 {
			enqueue(t, l, Add{"a/1", i})
		}
		sleep(10 * time.Second)
		if got := added(t, l, "a/1"); len(got) != 0 {
			t.Fatalf("a/1: %v", got)
		}
		sleep(2 * time.Minute)
		if got := added(t, l, "a/1"); len(got) != 20 || !slices.IsSorted(got) {
			t.Errorf("a/1: %v", got)
		}
		list := pending(t, l)
		if len(list) != 1 || list[0].Attempts != 1 || list[0].Parked == "" {
			t.Errorf("%+v", list)
		}
		if due, parked, stopped := waiting(t, r); due != 0 || parked != 1 || stopped != 0 || cellsLeft(t, l) != 1 {
			t.Errorf("%d wait, %d are parked, %d stopped, %d cells", due, parked, stopped, cellsLeft(t, l))
		}
	})
}

// TestNewProgramBesideTheOld: what the program before holds and parks is done by a
// newer one within about a lease time, also while others of the old one look at it.
func TestNewProgramBesideTheOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, single)
		old := runner(openWith(t, store, single), adding, parking("test.new", outbox.Policy{}))
		start(t, old)
		sleep(time.Second)
		start(t, runner(openWith(t, store, single), adding, parking("test.new", outbox.Policy{})))
		start(t, runner(openWith(t, store, single), adding, doing("test.new", 9)))
		sleep(10 * time.Second)
		for i := range 10 {
			for range 300 {
				enqueue(t, l, named{"test.new", fmt.Sprintf("n/%d", i), 0})
			}
			sleep(8 * time.Second)
			if got := len(added(t, l, fmt.Sprintf("n/%d", i))); got != 300 {
				t.Errorf("%d: %d were done", i, got)
			}
		}
		sleep(10 * time.Second)
		if got := shares(t, old); got[0] != 1 {
			t.Errorf("the old one holds %d", got)
		}
		if n := outcomes(t, l); n != 3000 {
			t.Errorf("%d outcomes", n)
		}
		if _, parked, _ := waiting(t, old); parked != 0 || len(pending(t, l)) != 0 || cellsLeft(t, l) != 0 {
			t.Errorf("%d are parked, %d pending, %d cells are left", parked, len(pending(t, l)), cellsLeft(t, l))
		}
	})
}

// TestParkedCostLittle: where all programs park a step, it is looked at again once a
// lease time by those that do not hold its shard, and nothing is written; where that
// takes long, more rarely.
func TestParkedCostLittle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pause       time.Duration // of a reading of cells
		least, most int           // visits
	}{"quick": {0, 590, 601}, "slow": {200 * time.Millisecond, 200, 350}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const steps = 100
				store := memlog.NewStore()
				l := openWith(t, store, single)
				for i := range steps {
					enqueue(t, l, named{"test.new", fmt.Sprintf("n/%d", i%9), 0})
				}
				var tried, reads, writes atomic.Int64
				count := func(c drivertest.Call) drivertest.Fault {
					switch w := c.Write; {
					case w == nil:
						reads.Add(1)
					case len(w.Batches) > 0 && len(w.Batches[0].Commits) > 0, len(w.Cells) > 0 && !strings.HasPrefix(w.Cells[0].Cell.Key, "$steps\x01runner\x01"):
						writes.Add(1)
					}
					return drivertest.Fault{}
				}
				h := outbox.Handler{Type: "test.new", Do: func(*eventlog.Tx, outbox.Raw) error {
					tried.Add(1)
					return outbox.Park(errNewer)
				}}
				for range 2 {
					r := runner(over(t, drivertest.NewFaulty(slow{store.Open(), test.pause, 0}, count), single), adding, h)
					r.Lease = 6 * time.Second
					start(t, r)
					sleep(time.Minute)
				}
				tried.Store(0)
				reads.Store(0)
				writes.Store(0)
				sleep(time.Hour)
				if n := int(tried.Load()) / steps; n < test.least || n > test.most {
					t.Errorf("they were looked at %d times", n)
				}
				if n := int(reads.Load()); n > 20_000+test.most*(steps+50) {
					t.Errorf("%d reads", n)
				}
				if n := writes.Load(); n > 0 {
					t.Errorf("%d writes", n)
				}
			})
		})
	}
}

// TestFamily: a handler of a family takes the types of it that no other one names, also
// of steps that others have parked.
func TestFamily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, single)
		types := []string{"a/1", "a/b/2", "a/b/c", "a/b/d/e", "a/*", "a", "a/", "a!", "b/1", "test.add", "ab/1", "z*", "z", "z/1"}
		for _, typ := range types {
			enqueue(t, l, named{typ, "t/" + typ, 0})
		}
		start(t, runner(openWith(t, store, single), adding))
		sleep(10 * time.Second)
		r := runner(openWith(t, store, single), doing("a/*", 1), doing("a/b/*", 2), doing("a/b/c", 3), doing("a/b/zz", 4), doing("z*", 5))
		told := make(map[string]bool)
		r.Hooks.Step = func(i outbox.StepInfo) { told[i.Type] = true }
		start(t, r)
		sleep(10 * time.Second)
		got := make(map[string]int)
		for _, typ := range types {
			for _, n := range added(t, l, "t/"+typ) {
				got[typ] = n
			}
		}
		want := map[string]int{"a/1": 1, "a/b/2": 2, "a/b/c": 3, "a/b/d/e": 2, "a/*": 1, "a/": 1, "z*": 5}
		delete(got, "test.add")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v\nwant %v", got, want)
		}
		if len(told) != 4 || !told["a/*"] || !told["a/b/*"] || !told["a/b/c"] {
			t.Errorf("told of %v", told)
		}
	})
}
