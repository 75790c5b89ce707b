package saga_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// trip is a saga of any number of steps; each adds its name to the data and to
// the stream "trace/ID".
type trip struct{ Seen []string }

func tripOf(steps ...saga.Step[trip]) *saga.Saga[trip] {
	return &saga.Saga[trip]{Name: "trip", Version: 3, Steps: steps}
}

type noted struct{ What string }

func (noted) EventType() string { return "trip.noted" }

// note makes a step's function that succeeds.
func note(stream, what string) func(*eventlog.Tx, *trip) error {
	return func(tx *eventlog.Tx, t *trip) error {
		t.Seen = append(t.Seen, what)
		return tx.Append(stream, noted{what})
	}
}

func on(stream string) func(*trip) string { return func(*trip) string { return stream } }

func notes(t testing.TB, l *eventlog.Log, category string) (list []string) {
	t.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{Category: category}) {
		var n noted
		if err == nil {
			err = r.Decode(&n)
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n.What)
	}
	return list
}

// TestUndoInReverseOrder: what was done is undone in reverse order, what was not
// is not, and the data travels along.
func TestUndoInReverseOrder(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	l := eventlogtest.New(t)
	s := tripOf(
		saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one"), Undo: note("note/1", "un-one")},
		saga.Step[trip]{Name: "two", On: on("note/2"), Do: note("note/2", "two")},
		saga.Step[trip]{Name: "three", On: on("note/3"), Do: note("note/3", "three"), Undo: note("note/3", "un-three")},
		saga.Step[trip]{Name: "four", On: on("note/4"), Undo: note("note/4", "un-four"), Do: func(tx *eventlog.Tx, d *trip) error {
			_ = note("note/4", "four")(tx, d)
			return outbox.Abort(boom)
		}},
		saga.Step[trip]{Name: "five", On: on("note/5"), Do: note("note/5", "five")},
	)
	start(t, l, s, "x", trip{})
	drainApart(t, l, s.Handlers()...)
	want := []string{"one", "two", "three", "un-three", "un-one"}
	if diff := cmp.Diff(want, notes(t, l, "note")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	st := status(t, l, s, "x")
	if st.State != saga.Compensated || st.Refused != "four" || !cmp.Equal(st.Data.Seen, want) || !slices.Equal(st.Done, []string{"two"}) {
		t.Errorf("%+v", st)
	}
	for range outbox.Dead(t.Context(), l) {
		t.Error("a dead letter")
	}
}

// TestUndoThatFails: an Undo is tried again by its policy; then the instance is
// parked, visible, and Retry goes on, as often as it takes.
func TestUndoThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var count atomic.Int32 // tries
		s := tripOf(
			saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one"), Undo: func(tx *eventlog.Tx, d *trip) error {
				switch tries := count.Add(1); {
				case tries < 4:
					return errors.New("not yet")
				case tries == 4:
					return outbox.Abort(errors.New("never"))
				}
				return note("note/1", "un-one")(tx, d)
			}, Policy: outbox.Policy{Attempts: 3}},
			saga.Step[trip]{Name: "two", On: on("note/2"), Do: func(*eventlog.Tx, *trip) error { return outbox.Abort(errors.New("no")) }},
		)
		start(t, l, s, "x", trip{})
		stop := runApart(t, l, s.Handlers()...)
		time.Sleep(50 * time.Millisecond)
		if st := status(t, l, s, "x"); st.State != saga.Compensating || st.State.Ended() || count.Load() != 1 {
			t.Errorf("%+v after %d tries", st, count.Load())
		}
		for k, why := range []string{"not yet", "never"} {
			time.Sleep(time.Minute)
			st := status(t, l, s, "x")
			if st.State != saga.Parked || st.Err.Error() != why || !slices.Equal(st.Done, []string{"one"}) || int(count.Load()) != 3+k {
				t.Errorf("%+v after %d tries", st, count.Load())
			}
			send(t, l, saga.Retry{Saga: s.Name, ID: "x", By: "ann"})
		}
		if st := await(t, l, s, "x"); st.State != saga.Compensated || count.Load() != 5 {
			t.Errorf("%+v after %d tries", st, count.Load())
		}
		stop()
		if diff := cmp.Diff([]string{"one", "un-one"}, notes(t, l, "note")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestAttemptsUsedUp: the last failing attempt ends the saga like an abort.
func TestAttemptsUsedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		tries := 0
		s := tripOf(
			saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one"), Undo: note("note/1", "un-one")},
			saga.Step[trip]{Name: "two", On: on("note/2"), Policy: outbox.Policy{Attempts: 3}, Do: func(*eventlog.Tx, *trip) error {
				tries++
				panic("cannot be")
			}},
		)
		start(t, l, s, "x", trip{})
		stop := runApart(t, l, s.Handlers()...)
		if st := await(t, l, s, "x"); st.State != saga.Compensated || tries != 3 || !strings.Contains(st.Err.Error(), "cannot be") {
			t.Errorf("%+v after %d tries", st, tries)
		}
		stop()
		if diff := cmp.Diff([]string{"one", "un-one"}, notes(t, l, "note")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestStepThatCannotBeSent counts as refused.
func TestStepThatCannotBeSent(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := tripOf(
		saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one"), Undo: note("note/1", "un-one")},
		saga.Step[trip]{Name: "two", On: on(""), Do: note("note/2", "two")},
	)
	start(t, l, s, "x", trip{})
	drain(t, l, s.Handlers()...)
	if st := status(t, l, s, "x"); st.State != saga.Compensated || st.Refused != "two" || !strings.Contains(st.Err.Error(), "target") {
		t.Errorf("%+v", st)
	}
	if diff := cmp.Diff([]string{"one", "un-one"}, notes(t, l, "note")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDataTooLarge: a Do that makes more data than MaxData is refused; with what
// is just not too much a saga completes.
func TestDataTooLarge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size int
		want saga.State
	}{
		"just fits": {saga.MaxData - len(`{"Seen":["",""]}`), saga.Completed},
		"too large": {saga.MaxData - len(`{"Seen":["",""]}`) + 1, saga.Compensated},
	} {
		l := eventlogtest.New(t)
		grow := func(_ *eventlog.Tx, d *trip) error {
			d.Seen = []string{strings.Repeat("x", test.size), ""}
			return nil
		}
		s := tripOf(
			saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one"), Undo: note("note/1", "un-one")},
			saga.Step[trip]{Name: "two", On: on("note/1"), Do: grow},
			saga.Step[trip]{Name: "three", On: on("note/1"), Do: grow},
		)
		start(t, l, s, "x", trip{})
		drain(t, l, s.Handlers()...)
		st := status(t, l, s, "x")
		if st.State != test.want || test.want == saga.Compensated && (st.Refused != "two" || !strings.Contains(st.Err.Error(), "too large")) {
			t.Errorf("%s: %v: %v", name, st.State, st.Err)
		}
	}
}

// await waits for the end of an instance, for a day at most.
func await[S any](t testing.TB, l *eventlog.Log, s *saga.Saga[S], id string) saga.Status[S] {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	st, err := s.Await(ctx, l, id)
	if err != nil {
		t.Error(err)
	}
	return st
}
