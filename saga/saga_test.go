package saga_test

import (
	"context"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func open(t *testing.T, l *eventlog.Log, stream string, balance int64) {
	t.Helper()
	if _, err := l.Append(context.Background(), stream, nil, Opened{"x"}, Posted{balance}); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, l *eventlog.Log, id string, in Transfer) {
	t.Helper()
	_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error { return transfer.Start(tx, id, in) })
	if err != nil {
		t.Fatal(err)
	}
}

func balance(t *testing.T, l *eventlog.Log, stream string) int64 {
	t.Helper()
	a, err := account.At(context.Background(), l, eventlog.Query{Stream: stream})
	if err != nil {
		t.Fatal(err)
	}
	return a.Balance
}

func TestTransferCompletes(t *testing.T) {
	t.Parallel()
	ctx, l := t.Context(), eventlogtest.New(t)
	open(t, l, "account/a", 100)
	open(t, l, "account/b", 0)
	start(t, l, "1", Transfer{"account/a", "account/b", 70})
	r := outbox.Runner{Log: l, Handlers: transfer.Handlers()}
	if err := r.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	st, err := transfer.Status(ctx, l, "1")
	if err != nil || st.State != saga.Completed {
		t.Fatalf("%+v, %v", st, err)
	}
	if a, b := balance(t, l, "account/a"), balance(t, l, "account/b"); a != 30 || b != 70 {
		t.Errorf("a %d, b %d", a, b)
	}
}

func TestRefusedCreditIsRefunded(t *testing.T) {
	t.Parallel()
	ctx, l := t.Context(), eventlogtest.New(t)
	open(t, l, "account/a", 100)
	start(t, l, "1", Transfer{"account/a", "account/b", 70})
	r := outbox.Runner{Log: l, Handlers: transfer.Handlers()}
	if err := r.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	st, err := transfer.Await(ctx, l, "1")
	if err != nil || st.State != saga.Compensated || st.Refused != "credit" || st.Err.Error() != errClosed.Error() {
		t.Fatalf("%+v, %v", st, err)
	}
	if a := balance(t, l, "account/a"); a != 100 {
		t.Errorf("a %d", a)
	}
}
