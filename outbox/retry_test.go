package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestRetriesAreDurable: attempts and pauses go on where they were after a
// restart, until the step is dead.
func TestRetriesAreDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		begin := time.Now()
		enqueue(t, l, Fail{"a/1"})
		policy := &outbox.Policy{Attempts: 5, Backoff: time.Second, MaxBackoff: 4 * time.Second}
		pauses := []time.Duration{1, 2, 4, 4}
		for i, pause := range pauses {
			drain(t, runner(l, failing(policy)))
			drain(t, runner(l, failing(policy))) // not due: nothing happens
			list := pending(t, l)
			if len(list) != 1 || list[0].Attempts != i+1 || !list[0].First.Equal(list[0].First) {
				t.Fatalf("after attempt %d: %+v", i+1, list)
			}
			wait := time.Until(list[0].Due)
			if wait > pause*time.Second || wait < pause*time.Second/2-time.Millisecond {
				t.Errorf("attempt %d is followed by a pause of %v, want %v to %v", i+1, wait, pause*time.Second/2, pause*time.Second)
			}
			time.Sleep(wait + time.Millisecond)
		}
		if len(dead(t, l)) != 0 {
			t.Error("dead before its time")
		}
		drain(t, runner(l, failing(policy)))
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d steps are pending", n)
		}
		list := dead(t, l)
		if len(list) != 1 {
			t.Fatalf("%d dead letters", len(list))
		}
		d := list[0]
		if !d.Dead || d.Attempts != 5 || d.Err != errFail.Error() || d.Target != "a/1" || string(d.Data) != `{"To":"a/1"}` ||
			d.Chain.IsZero() || d.First.Sub(begin) > time.Second || d.Time.Sub(begin) > time.Second {
			t.Errorf("dead letter %+v", d)
		}
		if got := added(t, l, "a/1"); len(got) != 0 {
			t.Errorf("a step that failed left %v", got)
		}
		drain(t, runner(l, failing(policy)))
		if n := len(dead(t, l)); n != 1 {
			t.Errorf("%d dead letters after another look", n)
		}
	})
}

// TestRunRetries: a running runner comes back by itself, once the pause is over.
func TestRunRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var times []time.Time
		flaky := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			times = append(times, time.Now())
			if len(times) < 4 {
				return errFail
			}
			return tx.Append(f.To, Added{1})
		}, &outbox.Policy{Backoff: time.Minute, MaxBackoff: time.Hour})
		r := runner(l, flaky)
		r.Sweep = time.Hour // the alarm wakes it, not the sweep
		start(t, r)
		enqueue(t, l, Fail{"a/1"})
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if len(times) != 4 || len(pending(t, l)) != 0 {
			t.Fatalf("%d attempts, %v", len(times), pending(t, l))
		}
		for i := range 3 {
			if pause, most := times[i+1].Sub(times[i]), time.Minute<<i; pause < most/2-time.Second || pause > most+time.Second {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, most/2, most)
			}
		}
	})
}

func TestAbort(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var runs atomic.Int32
	h := outbox.On(func(tx *eventlog.Tx, f Fail) error {
		runs.Add(1)
		return fmt.Errorf("no way: %w", outbox.Abort(errFail))
	}, nil)
	enqueue(t, l, Fail{"a/1"})
	enqueue(t, l, outbox.Raw{Type: "test.fail", Stream: "b/1", Data: []byte(`{"To":7}`)}) // cannot be decoded
	drain(t, runner(l, h))
	if runs.Load() != 1 {
		t.Errorf("%d runs", runs.Load())
	}
	list := dead(t, l)
	if len(list) != 2 {
		t.Fatalf("dead letters %+v", list)
	}
	for _, d := range list {
		if d.Attempts != 1 || d.Target == "a/1" && d.Err != "no way: out of order" || d.Target == "b/1" && !strings.Contains(d.Err, "decode") {
			t.Errorf("dead letter %+v", d)
		}
	}
	if outbox.Abort(nil) != nil || outbox.Aborted(errFail) || !errors.Is(outbox.Abort(errFail), errFail) {
		t.Error("Abort does not keep its word")
	}
}

// TestFailed: what Failed writes stands in place of the dead letter.
func TestFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		h := failing(&outbox.Policy{Attempts: 2})
		trouble := 3
		h.Failed = func(tx *eventlog.Tx, s outbox.Raw, err error) error {
			if trouble--; trouble > 0 {
				return errors.New("not now")
			}
			if !errors.Is(err, errFail) {
				return outbox.Abort(err)
			}
			return outbox.Enqueue(tx, Add{"b/1", 5})
		}
		enqueue(t, l, Fail{"a/1"})
		start(t, runner(l, h, adding))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := added(t, l, "b/1"); !slices.Equal(got, []int{5}) {
			t.Errorf("got %v", got)
		}
		if d, p := dead(t, l), pending(t, l); len(d)+len(p) != 0 || trouble != 0 {
			t.Errorf("dead %v, pending %v", d, p)
		}
	})
}
