package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// timers lists the timers, as far as most.
func timers(t testing.TB, l *eventlog.Log, most int) (list []outbox.Info) {
	t.Helper()
	for i, err := range outbox.Timers(context.Background(), l) {
		if err != nil {
			t.Fatal(err)
		}
		if list = append(list, i); len(list) == most {
			break
		}
	}
	return list
}

func setTimer(t testing.TB, l *eventlog.Log, name string, in time.Duration, s outbox.Step) {
	t.Helper()
	update(t, l, func(tx *eventlog.Tx) error {
		return outbox.Timer{Target: s.Target(), Name: name}.Set(tx, time.Now().Add(in), s)
	})
}

// TestTimers: what waits for its time is listed, the next one first over all
// shards, whether a runner has put it aside or nobody ran; what was moved is
// listed once, what was cancelled, done or tried is not.
func TestTimers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		begin := time.Now()
		stopping := failing(&outbox.Policy{Ordered: true, Attempts: 1})
		enqueue(t, l, Fail{"s/1"}, Add{"a/0", 7}) // no timers
		drain(t, runner(l, stopping, adding))     // s/1 is stopped
		for n := range 20 {
			at(t, l, time.Duration(20-n)*time.Hour, Add{fmt.Sprintf("a/%d", n), n})
		}
		setTimer(t, l, "alarm", 3*time.Hour, Add{"b/1", 1})
		setTimer(t, l, "alarm", 90*time.Minute, Add{"b/1", 2}) // moved
		setTimer(t, l, "other", time.Hour, Add{"b/1", 3})
		update(t, l, outbox.Timer{Target: "b/1", Name: "other"}.Cancel)
		id := at(t, l, time.Hour, Add{"b/2", 4})
		update(t, l, func(tx *eventlog.Tx) error { _, err := outbox.Cancel(tx, id, "b/2"); return err })
		at(t, l, 150*time.Minute, outbox.Raw{Type: "test.unknown", Stream: "u/1", Data: []byte("{}")})
		at(t, l, 4*time.Hour+time.Minute, Add{"s/1", 5})
		at(t, l, -time.Hour, Add{"late/1", 6})

		var want []string
		expect := func(when string) {
			t.Helper()
			var got []string
			for _, i := range timers(t, l, 0) {
				got = append(got, fmt.Sprint(i.Due.Sub(begin), i.Target, i.Timer, i.Parked, i.Stopped))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		hour := func(n int) string {
			return fmt.Sprint(time.Duration(n)*time.Hour, fmt.Sprintf("a/%d", 20-n), "", "", false)
		}
		list := func(parked string, stopped bool) {
			want = append(want, hour(1), fmt.Sprint(90*time.Minute, "b/1", "alarm", "", false), hour(2),
				fmt.Sprint(150*time.Minute, "u/1", "", parked, false), hour(3), hour(4),
				fmt.Sprint(4*time.Hour+time.Minute, "s/1", "", "", stopped))
			for n := 5; n <= 20; n++ {
				want = append(want, hour(n))
			}
		}
		want = []string{fmt.Sprint(-time.Hour, "late/1", "", "", false)}
		list("", false)
		expect("nobody ran")

		stop := start(t, calm(l, stopping))
		sleep(time.Minute)
		want = nil
		list("no runner knows the type test.unknown", true)
		expect("beside a runner")
		stop()
		expect("after a runner")
		sleep(2 * time.Hour)
		expect("overdue")
		drain(t, runner(l, stopping, adding))
		want = want[3:]
		expect("when they have run")
	})
}

// TestTimersNotTried: a step that has failed waits for its next attempt, not for
// its time.
func TestTimersNotTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		at(t, l, time.Minute, Fail{"a/1"})
		h := failing(&outbox.Policy{Backoff: time.Hour, MaxBackoff: time.Hour})
		drain(t, runner(l, h))
		if n := len(timers(t, l, 0)); n != 1 {
			t.Errorf("%d timers, want 1", n)
		}
		sleep(2 * time.Minute)
		drain(t, runner(l, h))
		if list := timers(t, l, 0); len(list) != 0 || len(pending(t, l)) != 1 {
			t.Errorf("timers %+v, %d steps are pending", list, len(pending(t, l)))
		}
	})
}

// TestTimersCostWhatIsTaken: the first ones of many cost little, and all of them
// are there.
func TestTimersCostWhatIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		const total, each = 10_000, 1000
		for n := 0; n < total; n += each {
			update(t, l, func(tx *eventlog.Tx) error {
				for i := range each {
					if _, err := outbox.At(tx, time.Now().Add(time.Hour+time.Duration((n+i)*7919%total)*time.Second), Add{fmt.Sprintf("t/%d", n+i), 1}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		stop := start(t, calm(l))
		sleep(10 * time.Minute)
		stop()
		reads := func() int { return faulty.Calls("Read") + faulty.Calls("Find") + faulty.Calls("Cells") }
		before := reads()
		if n := len(timers(t, l, 5)); n != 5 {
			t.Errorf("%d timers, want 5", n)
		}
		if n, most := reads()-before, l.Shards()*(5+2*8)+50; n > most {
			t.Errorf("5 of %d timers cost %d reads, at most %d", total, n, most)
		}
		list := timers(t, l, 0)
		if len(list) != total {
			t.Errorf("%d timers, want %d", len(list), total)
		}
		for n := range len(list) - 1 {
			if list[n+1].Due.Before(list[n].Due) {
				t.Fatalf("timer %d is due at %v, the one before at %v", n+1, list[n+1].Due, list[n].Due)
			}
		}
	})
}

// TestTimersFail: an error of the store ends the list, with the error.
func TestTimersFail(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Cells", "Find"} {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 30 {
			at(t, l, time.Hour, Add{fmt.Sprintf("t/%d", n), 1})
		}
		n := 0
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != method {
				return drivertest.Fault{}
			}
			if n++; n < 20 {
				return drivertest.Fault{}
			}
			return drivertest.Fault{Kind: drivertest.Fail}
		})
		failed := 0
		for _, err := range outbox.Timers(t.Context(), l) {
			if err != nil {
				failed++
			} else if failed > 0 {
				t.Errorf("%s: a timer behind the error", method)
			}
		}
		if failed != 1 || faulty.Injected(drivertest.Fail) == 0 {
			t.Errorf("%s: %d errors, %d were injected", method, failed, faulty.Injected(drivertest.Fail))
		}
		faulty.Inject(nil)
		if err := errors.Join(l.Close()); err != nil {
			t.Error(err)
		}
	}
}
