package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func open(t testing.TB, l *eventlog.Log, stream string, balance int64) {
	t.Helper()
	if _, err := l.Append(context.Background(), stream, nil, Opened{"x"}, Posted{balance}); err != nil {
		t.Fatal(err)
	}
}

func start[S any](t testing.TB, l *eventlog.Log, s *saga.Saga[S], id string, in S) {
	t.Helper()
	_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error { return s.Start(tx, id, in) })
	if err != nil {
		t.Fatal(err)
	}
}

func drain(t testing.TB, l *eventlog.Log, handlers ...outbox.Handler) {
	t.Helper()
	if err := (&outbox.Runner{Log: l, Handlers: handlers}).Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func status[S any](t testing.TB, l *eventlog.Log, s *saga.Saga[S], id string) saga.Status[S] {
	t.Helper()
	st, err := s.Status(context.Background(), l, id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// postings returns the amounts that were posted to an account.
func postings(t testing.TB, l *eventlog.Log, stream string) (list []int64) {
	t.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{Stream: stream, Types: []string{"bank.posted"}}) {
		var p Posted
		if err == nil {
			err = r.Decode(&p)
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p.Amount)
	}
	return list
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		amount  int64
		close   string
		state   saga.State
		refused string
		err     error
		a, b    []int64 // postings
	}{
		"completed":     {70, "", saga.Completed, "", nil, []int64{100, -70}, []int64{0, 70}},
		"no funds":      {170, "", saga.Compensated, "debit", errFunds, []int64{100}, []int64{0}},
		"refused there": {70, "b", saga.Compensated, "credit", errClosed, []int64{100, -70, 70}, []int64{0}},
		"refused here":  {70, "a", saga.Compensated, "debit", errClosed, []int64{100}, []int64{0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			open(t, l, "account/a", 100)
			open(t, l, "account/b", 0)
			if test.close != "" {
				if _, err := l.Append(t.Context(), "account/"+test.close, nil, Closed{}); err != nil {
					t.Fatal(err)
				}
			}
			in := Transfer{"account/a", "account/b", test.amount}
			start(t, l, &transfer, "1", in)
			if st := status(t, l, &transfer, "1"); st.State != saga.Running || st.Data != in || st.State.Ended() {
				t.Errorf("started: %+v", st)
			}
			drain(t, l, transfer.Handlers()...)
			st := status(t, l, &transfer, "1")
			if st.State != test.state || st.Refused != test.refused || st.Data != in || !st.State.Ended() {
				t.Errorf("ended: %+v", st)
			}
			if test.err != nil && (st.Err == nil || st.Err.Error() != test.err.Error()) || test.err == nil && st.Err != nil {
				t.Errorf("error %v, want %v", st.Err, test.err)
			}
			if got := [][]int64{postings(t, l, "account/a"), postings(t, l, "account/b")}; !cmp.Equal(got, [][]int64{test.a, test.b}) {
				t.Errorf("postings %v, want %v and %v", got, test.a, test.b)
			}
			if p, err := l.Position(t.Context()); err != nil || !p.Covers(st.At) || st.At.IsZero() || st.Changed.Before(st.Started) {
				t.Errorf("at %v (%v), log at %v", st.At, err, p)
			}
		})
	}
}

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
	drain(t, l, s.Handlers()...)
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

// TestUndoIsNeverLost: an Undo that fails, even with an Abort, is tried until it
// succeeds; meanwhile the instance is compensating.
func TestUndoIsNeverLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		tries := 0
		s := tripOf(
			saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one"), Undo: func(tx *eventlog.Tx, d *trip) error {
				switch tries++; {
				case tries < 20:
					return errors.New("not yet")
				case tries == 20:
					return outbox.Abort(errors.New("never"))
				}
				return note("note/1", "un-one")(tx, d)
			}, Policy: outbox.Policy{Attempts: 2}},
			saga.Step[trip]{Name: "two", On: on("note/2"), Do: func(*eventlog.Tx, *trip) error { return outbox.Abort(errors.New("no")) }},
		)
		start(t, l, s, "x", trip{})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- (&outbox.Runner{Log: l, Handlers: s.Handlers()}).Run(ctx) }()
		time.Sleep(time.Second)
		if st := status(t, l, s, "x"); st.State != saga.Compensating || st.State.Ended() {
			t.Errorf("%+v", st)
		}
		st, err := s.Await(ctx, l, "x")
		if err != nil || st.State != saga.Compensated || tries != 21 {
			t.Errorf("%+v, %v after %d tries", st, err, tries)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
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
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- (&outbox.Runner{Log: l, Handlers: s.Handlers()}).Run(ctx) }()
		st, err := s.Await(ctx, l, "x")
		if err != nil || st.State != saga.Compensated || tries != 3 || !strings.Contains(st.Err.Error(), "cannot be") {
			t.Errorf("%+v, %v after %d tries", st, err, tries)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
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

// TestDataTooLarge: a Do that makes more data than a step can carry is refused.
func TestDataTooLarge(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := tripOf(saga.Step[trip]{Name: "one", On: on("note/1"), Do: func(_ *eventlog.Tx, d *trip) error {
		d.Seen = append(d.Seen, strings.Repeat("x", eventlog.MaxEvent))
		return nil
	}})
	start(t, l, s, "x", trip{})
	drain(t, l, s.Handlers()...)
	if st := status(t, l, s, "x"); st.State != saga.Compensated || !strings.Contains(st.Err.Error(), "too large") || len(st.Data.Seen) != 0 {
		t.Errorf("%v: %v", st.State, st.Err)
	}
}

func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	open(t, l, "account/a", 100)
	open(t, l, "account/b", 0)
	in := Transfer{"account/a", "account/b", 10}
	start(t, l, &transfer, "1", in)
	start(t, l, &transfer, "1", in)
	drain(t, l, transfer.Handlers()...)
	start(t, l, &transfer, "1", in)
	drain(t, l, transfer.Handlers()...)
	if got := postings(t, l, "account/a"); !slices.Equal(got, []int64{100, -10}) {
		t.Errorf("postings %v", got)
	}
	in.Amount++
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return transfer.Start(tx, "1", in) })
	if !errors.Is(err, eventlog.ErrIDReused) || !strings.Contains(err.Error(), "transfer/1") {
		t.Errorf("got %v", err)
	}
	_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error { // twice in one transaction
		if err := transfer.Start(tx, "2", in); err != nil {
			return err
		}
		return transfer.Start(tx, "2", in)
	})
	if err != nil {
		t.Error(err)
	}
	drain(t, l, transfer.Handlers()...)
	if got := postings(t, l, "account/a"); !slices.Equal(got, []int64{100, -10, -11}) {
		t.Errorf("postings %v", got)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	ok := saga.Step[trip]{Name: "one", On: on("note/1"), Do: note("note/1", "one")}
	tests := map[string]struct {
		saga *saga.Saga[trip]
		id   string
		want error
	}{
		"no name":        {&saga.Saga[trip]{Steps: saga.Steps[trip]{ok}}, "1", saga.ErrDefinition},
		"a slash":        {&saga.Saga[trip]{Name: "a/b", Steps: saga.Steps[trip]{ok}}, "1", saga.ErrDefinition},
		"no steps":       {tripOf(), "1", saga.ErrDefinition},
		"no step name":   {tripOf(saga.Step[trip]{On: ok.On, Do: ok.Do}), "1", saga.ErrDefinition},
		"no On":          {tripOf(saga.Step[trip]{Name: "x", Do: ok.Do}), "1", saga.ErrDefinition},
		"no Do":          {tripOf(saga.Step[trip]{Name: "x", On: ok.On}), "1", saga.ErrDefinition},
		"the same twice": {tripOf(ok, ok), "1", saga.ErrDefinition},
		"no id":          {tripOf(ok), "", saga.ErrID},
		"a broken id":    {tripOf(ok), "\x00", eventlog.ErrName},
		"no target":      {tripOf(saga.Step[trip]{Name: "x", On: on(""), Do: ok.Do}), "1", outbox.ErrStep},
	}
	for name, test := range tests {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			err := test.saga.Start(tx, test.id, trip{})
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
			return nil // a refused start leaves nothing behind
		})
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(test.want, saga.ErrDefinition) {
			func() {
				defer func() {
					if p := recover(); p == nil {
						t.Errorf("%s: Handlers does not panic", name)
					}
				}()
				test.saga.Handlers()
			}()
		}
	}
	if p, err := l.Position(t.Context()); err != nil || !p.IsZero() {
		t.Errorf("the log is at %v (%v)", p, err)
	}
}

func TestStatusOfNobody(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	if _, err := transfer.Status(t.Context(), l, "7"); !errors.Is(err, saga.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := transfer.Await(t.Context(), l, "7"); !errors.Is(err, saga.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	start(t, l, &transfer, "7", Transfer{"account/a", "account/b", 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := transfer.Await(ctx, l, "7"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestInstances lists those of one saga, odd ids included.
func TestInstances(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	open(t, l, "account/a", 100)
	open(t, l, "account/b", 0)
	other := transfer
	other.Name = "transfer2"
	want := map[string]saga.State{}
	for i, id := range []string{"7", "07", "a/b", "ä", "{g}1", " ", "$x", "15", "16", "-1"} {
		amount := int64(1)
		want[id] = saga.Completed
		if i%3 == 0 {
			amount, want[id] = 1000, saga.Compensated
		}
		start(t, l, &transfer, id, Transfer{"account/a", "account/b", amount})
		start(t, l, &other, id, Transfer{"account/a", "account/b", amount})
	}
	drain(t, l, transfer.Handlers()...)
	got := map[string]saga.State{}
	for st, err := range transfer.Instances(t.Context(), l) {
		if err != nil {
			t.Fatal(err)
		}
		got[st.ID] = st.State
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for st, err := range other.Instances(t.Context(), l) {
		if err != nil || st.State != saga.Running {
			t.Fatalf("%+v, %v: nobody runs it", st, err)
		}
		break
	}
	for id := range want {
		if stream := fmt.Sprintf("$saga-transfer/%s", id); status(t, l, &transfer, id).At.Revision(l.ShardOf(stream)) == 0 {
			t.Errorf("instance %q is not in %s", id, stream)
		}
	}
}
