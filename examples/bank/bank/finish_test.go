package bank_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// TestFinish: a refund that does not fit into the account is tried again until it
// does. Meanwhile the transfer has not ended, and an examination says so.
func TestFinish(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), eventlogtest.New(t)
	do(t, log, func(tx *eventlog.Tx) error {
		return errors.Join(tx.Append(ada.Stream(), ledger, posted(math.MaxInt64)), tx.Append(bob.Stream(), ledger, posted(-math.MaxInt64)))
	})
	do(t, log, bank.Transfer{ID: "t", From: "ada", To: "nobody", Currency: "EUR", Amount: 7}.Start)
	noUndo := bank.Sagas(log)
	noUndo.Handlers = slices.DeleteFunc(noUndo.Handlers, func(h outbox.Handler) bool {
		return strings.HasSuffix(h.Type, "/undo") || strings.HasSuffix(h.Type, "/*")
	})
	if err := noUndo.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	do(t, log, func(tx *eventlog.Tx) error { return bank.Deposit(tx, ada, 7, "", "") })

	if err := bank.Finish(ctx, log, 0); err != nil {
		t.Fatal(err)
	}
	m := readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))
	a := examine(t, log, m)
	if len(a.Problems) != 2 || !strings.HasPrefix(a.Problems[0], "transfer t has not ended: it is compensating") {
		t.Errorf("problems %q", a.Problems)
	}

	do(t, log, func(tx *eventlog.Tx) error { return bank.Withdraw(tx, ada, 7, "", "") })
	if err := bank.Finish(ctx, log, time.Minute); err != nil {
		t.Fatal(err)
	}
	st, err := bank.Transfers.Status(ctx, log, "t")
	if err != nil || st.State != saga.Compensated {
		t.Errorf("the transfer is %+v, %v", st, err)
	}
	if err := m.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	if a := examine(t, log, m); len(a.Problems) > 0 {
		t.Errorf("problems %q", a.Problems)
	}
}
