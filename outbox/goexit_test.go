package outbox_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestHandlerThatEndsItsGoroutine: a function that calls runtime.Goexit, as a test
// does that fails, has failed: its attempts are counted, it is dead in the end, and
// neither others nor the runner's end wait for it.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	exit := func() error { runtime.Goexit(); return nil }
	policy := outbox.Policy{Attempts: 3, Backoff: time.Second}
	chain := outbox.On(func(tx *eventlog.Tx, a Add) error {
		if err := tx.Append(a.To, Added{a.N}); err != nil || a.N != 7 {
			return err
		}
		return outbox.Enqueue(tx, Fail{a.To})
	}, nil)
	for name, h := range map[string]outbox.Handler{
		"Do":     {Type: "test.fail", Policy: policy, Do: func(*eventlog.Tx, outbox.Raw) error { return exit() }},
		"Effect": {Type: "test.fail", Policy: policy, Effect: func(context.Context, string, outbox.Raw) (outbox.Step, error) { return nil, exit() }},
	} {
		for _, linked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.New(t)
				r := runner(l, h, chain)
				stop := start(t, r)
				first := 1
				if linked {
					first = 7 // its handler enqueues the one that fails, for the same target
				} else {
					enqueue(t, l, Fail{"a/1"})
				}
				enqueue(t, l, Add{"a/1", first}, Add{"b/1", 1})
				sleep(10 * time.Minute)
				enqueue(t, l, Add{"a/1", 2})
				sleep(time.Minute)
				if a, b := added(t, l, "a/1"), added(t, l, "b/1"); !slices.Equal(a, []int{first, 2}) || !slices.Equal(b, []int{1}) {
					t.Errorf("%s, linked %v: a/1: %v, b/1: %v", name, linked, a, b)
				}
				if list := dead(t, l); len(list) != 1 || list[0].Attempts != 3 || len(pending(t, l)) != 0 {
					t.Errorf("%s, linked %v: dead letters %+v, %d pending", name, linked, list, len(pending(t, l)))
				}
				begin := time.Now()
				stop()
				if d := time.Since(begin); d > time.Second {
					t.Errorf("%s, linked %v: Run ended after %v", name, linked, d)
				}
			})
		}
	}
}

// TestFailedThatEndsItsGoroutine is tried again, as when it returns an error.
func TestFailedThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		h := failing(&outbox.Policy{Attempts: 1})
		calls := 0
		h.Failed = func(tx *eventlog.Tx, s outbox.Raw, err error) error {
			if calls++; calls < 4 {
				runtime.Goexit()
			}
			return tx.Append(s.Stream, Added{7})
		}
		enqueue(t, l, Fail{"a/1"})
		start(t, runner(l, h))
		eventually(t, l, "a/1", 7)
	})
}
