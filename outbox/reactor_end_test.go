package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestReactorEnds: Run finishes the commit in hand within Grace and gives the
// leases back; a second Run at the same time is refused; a closed log ends it.
func TestReactorEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := eventlog.Open(t.Context(), memlog.Open(), few)
		if err != nil {
			t.Fatal(err)
		}
		r := seeing(l)
		r.Grace = 3 * time.Second
		r.React = func(tx *eventlog.Tx, rec eventlog.Record) error {
			select {
			case <-time.After(2 * time.Second):
				return see(tx, rec)
			case <-tx.Context().Done():
				return tx.Context().Err()
			}
		}
		add(t, l, "a/1", 1)
		stop := startRun(t, r)
		time.Sleep(time.Second)
		if err := r.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		stop()
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1}) {
			t.Errorf("seen %v", got)
		}
		add(t, l, "a/1", 2)
		r.Grace = time.Second
		stop = startRun(t, r)
		time.Sleep(500 * time.Millisecond)
		begin := time.Now()
		stop()
		if d := time.Since(begin); d != time.Second || len(seen(t, l, "a/1")) != 1 {
			t.Errorf("Run ended after %v, seen %v", d, seen(t, l, "a/1"))
		}
		crewShares(t, r, 4) // nobody's
		if err := r.Health(context.Background()); err == nil {
			t.Error("healthy after Run")
		}
		done := make(chan error, 1)
		go func() { done <- r.Run(context.Background()) }()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("the log is closed: %v", err)
		}
	})
}

// TestReactorStoreDown: it says so, and goes on.
func TestReactorStoreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l := openWith(t, store, few)
		faulty := drivertest.NewFaulty(store.Open(), nil)
		down, err := eventlog.Open(t.Context(), faulty, few)
		if err != nil {
			t.Fatal(err)
		}
		defer down.Close()
		r := quick(down)
		stop := startRun(t, r)
		defer stop()
		time.Sleep(time.Second)
		faulty.Inject(deadProcess)
		add(t, l, "a/1", 1)
		time.Sleep(10 * time.Second)
		if err := r.Health(context.Background()); !errors.Is(err, drivertest.ErrInjected) {
			t.Errorf("health: %v", err)
		}
		faulty.Inject(nil)
		time.Sleep(10 * time.Second)
		if err := r.Health(context.Background()); err != nil {
			t.Errorf("health: %v", err)
		}
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1}) {
			t.Errorf("seen %v", got)
		}
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Tail" {
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		time.Sleep(5 * time.Second)
		if err := r.Health(context.Background()); !errors.Is(err, drivertest.ErrInjected) {
			t.Errorf("health: %v", err)
		}
		faulty.Inject(nil)
		time.Sleep(10 * time.Second)
		if err := r.Health(context.Background()); err != nil {
			t.Errorf("nothing came, health: %v", err)
		}
	})
}

// TestReactorShutdownSkipsNothing: an event whose React gives up because it has
// to stop, whatever it makes of that, is reacted to later.
func TestReactorShutdownSkipsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		add(t, l, "a/1", 1)
		r := seeing(l)
		r.React = func(tx *eventlog.Tx, rec eventlog.Record) error {
			if rec.Version == 1 { // so that the writes of a skipping need no look at the store
				return outbox.Abort(errFail)
			}
			<-tx.Context().Done()
			return outbox.Abort(tx.Context().Err())
		}
		stop := startRun(t, r)
		time.Sleep(time.Second)
		add(t, l, "a/1", 2)
		time.Sleep(time.Second)
		stop()
		for e := range r.Skipped(t.Context()) {
			if e.Version != 1 {
				t.Errorf("skipped %+v", e)
			}
		}
		drainReactor(t, seeing(l))
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{2}) {
			t.Errorf("seen %v", got)
		}
	})
}

// TestReactorIsWellAgainAtOnce: not only when it has caught up.
func TestReactorIsWellAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		add(t, l, "a/1", 1, 2)
		r := seeing(l)
		r.Batch = 1
		tries := 0
		r.React = func(tx *eventlog.Tx, rec eventlog.Record) error {
			if rec.Version == 2 {
				<-tx.Context().Done()
			} else if tries++; tries == 1 {
				return errFail
			}
			return see(tx, rec)
		}
		startRun(t, r)
		synctest.Wait()
		if err := r.Health(context.Background()); !errors.Is(err, errFail) {
			t.Errorf("health: %v", err)
		}
		time.Sleep(time.Second)
		if err := r.Health(context.Background()); err != nil || len(seen(t, l, "a/1")) != 1 {
			t.Errorf("health: %v, seen %v", err, seen(t, l, "a/1"))
		}
	})
}

// TestReactorCountsAttemptsByEvent.
func TestReactorCountsAttemptsByEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		add(t, l, "a/1", 1, 2)
		var got []string
		tries := map[uint64]int{}
		r := seeing(l)
		r.React = func(tx *eventlog.Tx, rec eventlog.Record) error {
			if tries[rec.Version]++; tries[rec.Version] <= 2 {
				return errFail
			}
			return see(tx, rec)
		}
		r.Hooks.Failed = func(r eventlog.Record, attempt int, err error) {
			got = append(got, fmt.Sprint(r.Version, " ", attempt))
		}
		stop := startRun(t, r)
		time.Sleep(time.Minute)
		stop()
		if want := []string{"1 1", "1 2", "2 1", "2 2"}; !slices.Equal(got, want) {
			t.Errorf("attempts %q, want %q", got, want)
		}
	})
}
