package bank_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

// first is the transfer as it was before there were limits and fees.
func first() *saga.Saga[bank.Transfer] {
	s := bank.Transfers
	s.Version, s.Migrations = 1, nil
	s.Steps = slices.Clone(s.Steps)
	s.Steps = slices.DeleteFunc(s.Steps, func(s saga.Step[bank.Transfer]) bool { return s.Name == "approval" || s.Name == "fee" })
	s.Steps[0].Next, s.Steps[0].Routes = nil, nil
	return &s
}

// TestTransfersOfVersion1: instances that the first version began, wherever they are, go
// on with the second.
func TestTransfersOfVersion1(t *testing.T) {
	t.Parallel()
	for _, ran := range [][]string{nil, {"debit/do"}, {"debit/do", "reply"}, {"debit/do", "reply", "credit/do"}} {
		for _, to := range []string{"bob", "nobody"} {
			log := eventlogtest.New(t)
			do(t, log, open(ada, 100), open(bob, 0))
			v1 := first()
			do(t, log, func(tx *eventlog.Tx) error { return v1.Start(tx, "t", pay("t", to, 70)) })
			some := slices.DeleteFunc(v1.Handlers(), func(h outbox.Handler) bool {
				return !slices.ContainsFunc(ran, func(what string) bool { return strings.HasSuffix(h.Type, what) })
			})
			if err := (&outbox.Runner{Log: log, Handlers: some}).Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			drain(t, log)
			want := saga.Completed
			if to == "nobody" {
				want = saga.Compensated
			}
			if st, err := bank.Transfers.Status(t.Context(), log, "t"); err != nil || st.State != want {
				t.Errorf("after %s: %+v, %v", ran, st, err)
			}
			if a := examine(t, log, readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))); len(a.Problems) > 0 {
				t.Errorf("after %s: %q", ran, a.Problems)
			}
		}
	}
}

// TestReplay: the definitions decide today what they decided then.
func TestReplay(t *testing.T) {
	t.Parallel()
	sagatest.Replay(t, rich(t), &bank.Transfers, &bank.Fees, &bank.InterestRuns, &bank.Accruals, bank.Payments)
}
