package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/race"
	"github.com/rollforward/rollforward/outbox"
)

func update(t testing.TB, l *eventlog.Log, fn func(tx *eventlog.Tx) error) {
	t.Helper()
	if _, err := l.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// at enqueues a step for a time from now.
func at(t testing.TB, l *eventlog.Log, in time.Duration, s outbox.Step) (id eventlog.ID) {
	t.Helper()
	update(t, l, func(tx *eventlog.Tx) (err error) {
		id, err = outbox.At(tx, time.Now().Add(in), s)
		return err
	})
	return id
}

// calm is a runner whose sweeps cost a test of days little.
func calm(l *eventlog.Log, handlers ...outbox.Handler) *outbox.Runner {
	r := runner(l, append(handlers, adding)...)
	r.Sweep = time.Minute
	return r
}

// sleep lets virtual time pass, in a synctest bubble.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestAt: a step runs at its time and not before, also when nobody ran in
// between, and whatever the sweep's interval is.
func TestAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		at(t, l, time.Hour, Add{"a/1", 1})
		at(t, l, 24*time.Hour, Add{"a/1", 2})
		at(t, l, -time.Hour, Add{"a/1", 0})
		stop := start(t, calm(l))
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if got := added(t, l, "a/1"); !slices.Equal(got, want) {
				t.Errorf("after %v: %v, want %v", time.Now(), got, want)
			}
		}
		expect(0)
		sleep(time.Hour - time.Millisecond)
		expect(0)
		sleep(2 * time.Millisecond)
		expect(0, 1)
		stop()
		sleep(30 * time.Hour)
		expect(0, 1)
		if list := pending(t, l); len(list) != 1 || !list[0].Due.Before(time.Now()) {
			t.Errorf("pending %+v", list)
		}
		start(t, calm(l))
		expect(0, 1, 2)
	})
}

// TestTimer: the last that was set counts, at its time; what is cancelled does
// not run.
func TestTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		start(t, calm(l))
		alarm := outbox.Timer{Target: "a/1", Name: "alarm"}
		set := func(in time.Duration, n int) {
			t.Helper()
			update(t, l, func(tx *eventlog.Tx) error { return alarm.Set(tx, time.Now().Add(in), Add{"a/1", n}) })
		}
		set(time.Hour, 1)
		set(2*time.Hour, 2) // later
		update(t, l, func(tx *eventlog.Tx) error {
			return (outbox.Timer{Target: "a/1", Name: "other"}).Set(tx, time.Now().Add(time.Hour), Add{"a/1", 10})
		})
		sleep(90 * time.Minute)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{10}) {
			t.Errorf("after 90 minutes: %v", got)
		}
		set(time.Minute, 3) // earlier
		sleep(2 * time.Minute)
		set(time.Hour, 4) // again, after it ran
		sleep(50 * time.Minute)
		update(t, l, alarm.Cancel)
		sleep(24 * time.Hour)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{10, 3}) {
			t.Errorf("in the end: %v", got)
		}
		if list := pending(t, l); len(list) != 0 {
			t.Errorf("pending %+v", list)
		}
	})
}

// TestTimerInABatch: a step that moves or cancels a timer of its target is
// honoured by the steps behind it, also in the same commit.
func TestTimerInABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		alarm := outbox.Timer{Target: "a/1", Name: "alarm"}
		off := outbox.Handler{Type: "test.off", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
			if string(s.Data) == `"move"` {
				return alarm.Set(tx, time.Now().Add(time.Hour), Add{"a/1", 2})
			}
			return alarm.Cancel(tx)
		}}
		for _, what := range []string{"cancel", "move"} {
			update(t, l, func(tx *eventlog.Tx) error { // home: the target's shard, as the timer's
				if err := outbox.Enqueue(tx, outbox.Raw{Type: "test.off", Stream: "a/1", Data: []byte(`"` + what + `"`)}); err != nil {
					return err
				}
				return alarm.Set(tx, time.Time{}, Add{"a/1", 1})
			})
			drain(t, runner(l, off, adding))
			if got := added(t, l, "a/1"); len(got) != 0 {
				t.Errorf("%s: %v", what, got)
			}
		}
		sleep(2 * time.Hour)
		drain(t, runner(l, off, adding))
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{2}) {
			t.Errorf("%v", got)
		}
	})
}

// TestTimerRaces: whoever sets a timer while its old self runs has it set: what
// runs comes either before or not at all, and the new one runs. As many times as
// it was set and not moved or cancelled before its time, it runs.
func TestTimerRaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l, other := open(t, store), open(t, store)
		start(t, calm(l))
		start(t, calm(other))
		alarm := outbox.Timer{Target: "a/1", Name: "alarm"}
		for i := range 50 { // each time about when the one before is due
			update(t, other, func(tx *eventlog.Tx) error { return alarm.Set(tx, time.Now().Add(time.Second), Add{"a/1", i}) })
			time.Sleep(time.Second - time.Duration(i%3-1)*time.Microsecond)
		}
		sleep(time.Hour)
		got := added(t, l, "a/1")
		if len(got) == 0 || got[len(got)-1] != 49 || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("%v", got)
		}
	})
}

func TestTimerRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for name, fn := range map[string]func(tx *eventlog.Tx) error{
		"another target": func(tx *eventlog.Tx) error {
			return outbox.Timer{Target: "b/1", Name: "x"}.Set(tx, time.Time{}, Add{"a/1", 1})
		},
		"no name":   func(tx *eventlog.Tx) error { return outbox.Timer{Target: "a/1"}.Set(tx, time.Time{}, Add{"a/1", 1}) },
		"no target": func(tx *eventlog.Tx) error { return outbox.Timer{Name: "x"}.Cancel(tx) },
		"nil":       func(tx *eventlog.Tx) error { return outbox.Timer{Target: "a/1", Name: "x"}.Set(tx, time.Time{}, nil) },
	} {
		update(t, l, func(tx *eventlog.Tx) error {
			if err := fn(tx); !errors.Is(err, outbox.ErrStep) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
	long := outbox.Timer{Target: "a/1", Name: strings.Repeat("x", 990)}
	update(t, l, func(tx *eventlog.Tx) error {
		if err := long.Set(tx, time.Time{}, Add{"a/1", 1}); !errors.Is(err, eventlog.ErrTooLarge) {
			t.Errorf("a long name: %v", err)
		}
		return nil
	})
	if p, err := l.Position(t.Context()); err != nil || !p.IsZero() {
		t.Errorf("something was written: %v, %v", p, err)
	}
}

// TestCancel: a step that is taken back does not run; of one that was done that
// is said.
func TestCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		id := at(t, l, time.Hour, Add{"a/1", 1})
		cancel := func(id eventlog.ID) (done bool) {
			t.Helper()
			update(t, l, func(tx *eventlog.Tx) (err error) {
				done, err = outbox.Cancel(tx, id, "a/1")
				return err
			})
			return done
		}
		for range 2 {
			if cancel(id) {
				t.Error("done")
			}
		}
		sleep(2 * time.Hour)
		drain(t, runner(l, adding))
		if got := added(t, l, "a/1"); len(got) != 0 {
			t.Errorf("it ran: %v", got)
		}
		id = at(t, l, 0, Add{"a/1", 2})
		drain(t, runner(l, adding))
		if !cancel(id) {
			t.Error("not done")
		}
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d pending", n)
		}
	})
}

// TestCancelOfAStepThatFails: it is not tried again.
func TestCancelOfAStepThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		id := at(t, l, 0, Fail{"a/1"})
		start(t, calm(l, failing(&outbox.Policy{Attempts: -1, Ordered: true})))
		sleep(time.Hour)
		enqueue(t, l, Add{"a/1", 1})
		sleep(time.Hour)
		update(t, l, func(tx *eventlog.Tx) error {
			done, err := outbox.Cancel(tx, id, "a/1")
			if done {
				t.Error("done")
			}
			return err
		})
		sleep(time.Hour)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) || len(pending(t, l)) != 0 {
			t.Errorf("%v, %d pending", got, len(pending(t, l)))
		}
	})
}

// TestTimersCostWhatIsDue: a hundred thousand timers that are due tomorrow cost
// nothing today, and nothing at a start; when one is due, what is read is about
// that one.
func TestTimersCostWhatIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		total := 100_000
		if testing.Short() || race.Enabled {
			total = 10_000
		}
		for n := 0; n < total; n += 1000 {
			update(t, l, func(tx *eventlog.Tx) error {
				for i := range 1000 {
					if _, err := outbox.At(tx, time.Now().Add(24*time.Hour), Add{fmt.Sprintf("t/%d", n+i), 1}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		r := runner(l, adding)
		r.Sweep = time.Minute
		stop := start(t, r)
		sleep(10 * time.Minute)
		calls := func() (n int) {
			for _, m := range []string{"Tail", "Read", "Find", "Keys", "Cells"} {
				n += faulty.Calls(m)
			}
			return n
		}
		before := calls()
		sleep(10 * time.Minute)
		if n, most := calls()-before, 10*(2*l.Shards()+2); n > most {
			t.Errorf("%d timers that wait: %d reads in 10 sweeps, at most %d", total, n, most)
		}
		s, err := r.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		due := 0
		for _, i := range s.Shards {
			due += i.Waiting
		}
		if due != total {
			t.Errorf("%d timers wait, by the status %d", total, due)
		}
		stop()
		before = calls()
		stop = start(t, calm(l))
		synctest.Wait()
		if n := calls() - before; n > 6*l.Shards()+4 {
			t.Errorf("a start: %d reads", n)
		}
		at(t, l, time.Hour, Add{"t/0", 2})
		sleep(2 * time.Hour)
		if got := added(t, l, "t/0"); !slices.Equal(got, []int{2}) {
			t.Errorf("t/0: %v", got)
		}
		if total > 10_000 && os.Getenv("ROLLFORWARD_SOAK") != "1" {
			stop()
			return
		}
		sleep(24 * time.Hour)
		stop()
		if got := len(added(t, l, "t/0")) + len(added(t, l, fmt.Sprintf("t/%d", total-1))); got != 3 {
			t.Errorf("%d", got)
		}
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d pending", n)
		}
	})
}

// TestTimerThatIsOff: a step of a timer that was moved or cancelled is told of as
// one that never runs, and its cell goes when its time comes, also where nobody knows
// its type.
func TestTimerThatIsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.Open(t, single)
		stop := start(t, calm(l))
		alarm := outbox.Timer{Target: "a/1", Name: "alarm"}
		var chain eventlog.ID
		set := func(in time.Duration) {
			update(t, l, func(tx *eventlog.Tx) error {
				if chain.IsZero() {
					chain = tx.ID()
				}
				tx.Meta().Correlation = chain
				return alarm.Set(tx, time.Now().Add(in), Add{"a/1", 1})
			})
			sleep(time.Minute)
		}
		set(time.Hour)
		set(2 * time.Hour)
		moved := time.Now()
		sleep(time.Minute)
		update(t, l, alarm.Cancel)
		n := 0
		for s, err := range outbox.Chain(t.Context(), l, chain) {
			if n++; err != nil || !s.Cancelled || s.Over.IsZero() || n == 1 && s.Over.After(moved) {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if n != 2 {
			t.Errorf("%d steps", n)
		}
		sleep(time.Minute)
		stop()
		if n := cellsLeft(t, l); n != 2 {
			t.Errorf("%d cells, want 2: the rest shows nothing", n)
		}
		r := calm(l)
		r.Handlers = nil // it knows no type
		start(t, r)
		sleep(24 * time.Hour)
		if due, parked, _ := waiting(t, r); due+parked != 0 {
			t.Errorf("%d wait, %d are parked", due, parked)
		}
		if n := cellsLeft(t, l); n != 0 {
			t.Errorf("%d cells are left", n)
		}
	})
}
