package outbox_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestUnavailableInAHandler: while the store fails what a handler reads, its step
// uses up no attempt, however long, and the steps of other targets go on.
func TestUnavailableInAHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l := over(t, faulty, single)
		reading := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			for r, err := range tx.Read(eventlog.Query{Tag: "elsewhere", Shards: []int{0}}) {
				if err != nil {
					return fmt.Errorf("what is elsewhere: %w", err)
				}
				return fmt.Errorf("there is %v", r)
			}
			return tx.Append(a.To, Added{a.N})
		}, &outbox.Policy{Attempts: 2, Backoff: time.Second})
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Find" && strings.HasSuffix(c.Key, "elsewhere") {
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		r := runner(l, reading, adding)
		start(t, r)
		enqueue(t, l, Add2{"a/1", 1}, Add{"a/2", 1}, Add{"b/1", 1})
		sleep(time.Hour)
		if a, b := added(t, l, "a/2"), added(t, l, "b/1"); len(a) != 1 || len(b) != 1 {
			t.Errorf("others: %v, %v", a, b)
		}
		if list := pending(t, l); len(list) != 1 || list[0].Attempts != 0 || faulty.Injected(drivertest.Fail) < 100 {
			t.Errorf("pending %+v after %d faults", list, faulty.Injected(drivertest.Fail))
		}
		faulty.Inject(nil)
		eventually(t, l, "a/1", 1)
		if n := len(dead(t, l)); n != 0 {
			t.Errorf("%d dead", n)
		}
	})
}

// TestUnavailableInAReaction: the same for an event.
func TestUnavailableInAReaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l := over(t, faulty, single)
		failed := 0
		r := seeing(l)
		r.Hooks.Failed = func(eventlog.Record, int, error) { failed++ }
		react := r.React
		r.React = func(tx *eventlog.Tx, rec eventlog.Record) error {
			for _, err := range tx.Read(eventlog.Query{Tag: "elsewhere", Shards: []int{0}}) {
				return err
			}
			return react(tx, rec)
		}
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Find" && strings.HasSuffix(c.Key, "elsewhere") {
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		startRun(t, r)
		add(t, l, "a/1", 1)
		sleep(time.Hour)
		if err := r.Health(t.Context()); err == nil || failed != 0 {
			t.Errorf("health %v, %d failures of the event", err, failed)
		}
		faulty.Inject(nil)
		sleep(time.Hour)
		if got := seen(t, l, "a/1"); len(got) != 1 {
			t.Errorf("seen %v", got)
		}
	})
}
