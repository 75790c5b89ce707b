package outbox_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestRunFinishesTheBatchInHand: when its ctx ends, Run waits for the work under
// way, starts no other, and leaves no goroutine.
func TestRunFinishesTheBatchInHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		slow := outbox.On(func(tx *eventlog.Tx, a Add) error {
			select {
			case <-time.After(2 * time.Second):
				return tx.Append(a.To, Added{a.N})
			case <-tx.Context().Done():
				return tx.Context().Err()
			}
		}, nil)
		r := runner(l, slow)
		r.Batch = 1
		stop := start(t, r)
		enqueue(t, l, Add{"a/1", 1}, Add{"a/1", 2})
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) {
			t.Errorf("got %v", got)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("Run ended after %v", d)
		}
		if n := len(pending(t, l)); n != 1 {
			t.Errorf("%d pending", n)
		}
	})
}

// TestGrace: a batch that does not end is given up after Grace, and no attempt
// of its step is counted.
func TestGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		stuck := outbox.On(func(tx *eventlog.Tx, a Add) error {
			<-tx.Context().Done()
			return tx.Context().Err()
		}, nil)
		r := runner(l, stuck)
		r.Grace = 3 * time.Second
		stop := start(t, r)
		enqueue(t, l, Add{"a/1", 1})
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("Run ended after %v", d)
		}
		if list := pending(t, l); len(list) != 1 || list[0].Attempts != 0 {
			t.Errorf("pending %+v", list)
		}
	})
}

// TestGraceGivesLeasesBack: a runner that had to give its work up has given its
// leases back all the same: the next one goes on at once.
func TestGraceGivesLeasesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l, other := open(t, store), open(t, store)
		stuck := outbox.On(func(tx *eventlog.Tx, a Add) error {
			<-tx.Context().Done()
			return tx.Context().Err()
		}, nil)
		r := runner(l, stuck)
		r.Sweep, r.Lease = time.Second, 24*time.Hour
		stop := start(t, r)
		enqueue(t, l, Add{"a/1", 1})
		time.Sleep(time.Minute)
		begin := time.Now()
		stop()
		if d := time.Since(begin); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("Run ended after %v", d)
		}
		next := runner(other, adding)
		next.Sweep, next.Lease = r.Sweep, r.Lease
		start(t, next)
		sleep(2 * time.Second)
		if got := added(t, other, "a/1"); !slices.Equal(got, []int{1}) {
			t.Errorf("the next runner did %v", got)
		}
	})
}

// TestClosedLog: a runner whose log is gone says so.
func TestClosedLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := eventlog.Open(t.Context(), memlog.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- runner(l, adding).Run(context.Background()) }()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
		if err := runner(l, adding).Drain(t.Context()); !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("Drain returned %v", err)
		}
	})
}
