package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

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

// atOnce is the AtOnce of the tests' runners. All tests run with -1, which is none, and
// again with the number that many may be done at once.
var atOnce = -1

func drain(t testing.TB, l *eventlog.Log, handlers ...outbox.Handler) {
	t.Helper()
	drainWith(t, atOnce, l, handlers...)
}

// drainApart does nothing at once, for tests that count steps.
func drainApart(t testing.TB, l *eventlog.Log, handlers ...outbox.Handler) {
	t.Helper()
	drainWith(t, -1, l, handlers...)
}

func drainWith(t testing.TB, atOnce int, l *eventlog.Log, handlers ...outbox.Handler) {
	t.Helper()
	if err := (&outbox.Runner{Log: l, Handlers: handlers, AtOnce: atOnce}).Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// run rolls steps forward until stop is called.
func run(t testing.TB, l *eventlog.Log, handlers ...outbox.Handler) (stop func()) {
	t.Helper()
	return runWith(t, atOnce, l, handlers...)
}

// runApart does nothing at once, for tests that count attempts.
func runApart(t testing.TB, l *eventlog.Log, handlers ...outbox.Handler) (stop func()) {
	t.Helper()
	return runWith(t, -1, l, handlers...)
}

func runWith(t testing.TB, atOnce int, l *eventlog.Log, handlers ...outbox.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&outbox.Runner{Log: l, Handlers: handlers, AtOnce: atOnce}).Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// send enqueues a step.
func send(t testing.TB, l *eventlog.Log, steps ...outbox.Step) {
	t.Helper()
	_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
		for _, s := range steps {
			if err := outbox.Enqueue(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
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
