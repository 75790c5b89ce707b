package bank_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

// The bank in a world where everything goes wrong at times.

// clean expects an examination of the whole bank to find nothing.
func clean(w *sagatest.World) *bank.Audit {
	w.Helper()
	w.Settle()
	m, err := bank.OpenReadModel(context.Background(), w.EventLog(), filepath.Join(w.TempDir(), "readmodel.db"))
	if err != nil {
		w.Fatal(err)
	}
	defer m.Close()
	if err := m.CatchUp(context.Background()); err != nil {
		w.Fatal(err)
	}
	a := examine(w, w.EventLog(), m)
	if len(a.Problems) > 0 {
		w.Errorf("problems: %q", a.Problems)
	}
	return a
}

// holds expects balances.
func holds(w *sagatest.World, cents map[string]int64) {
	w.Helper()
	w.Settle()
	got := make(map[string]int64)
	for name := range cents {
		got[name] = balance(w, w.EventLog(), name, "EUR")
	}
	if diff := cmp.Diff(cents, got); diff != "" {
		w.Errorf("balances (-want +got)\n%s", diff)
	}
}

func agree(id bank.AccountID, t bank.Terms) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error { return bank.Agree(tx, id, t) }
}

func decide(transfer string, approved bool) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		return bank.Decide(tx, transfer, bank.Decision{Approved: approved, By: "ann", Reason: "why not"})
	}
}

// pay is a transfer from ada to somebody.
func pay(id, to string, amount int64) bank.Transfer {
	return bank.Transfer{ID: id, From: "ada", To: to, Currency: "EUR", Amount: amount}
}

// TestFees: what a transfer costs is charged with it, and goes back with it.
func TestFees(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, bank.Handlers(), nil, func(w *sagatest.World) {
		w.When(open(ada, 10_000))
		w.When(open(bob, 0))
		w.When(agree(ada, bank.Terms{Flat: 10, Rate: 50}))

		w.When(pay("paid", "bob", 3_000).Start) // costs 10 and 15
		if st := sagatest.Ended(w, &bank.Transfers, "paid", saga.Completed); st.Data.Fee != 25 {
			w.Errorf("the fee is %d", st.Data.Fee)
		}
		holds(w, map[string]int64{"ada": 6_975, "bob": 3_000, "Bank:Fees": 25})

		w.When(pay("refused", "nobody", 3_000).Start)
		sagatest.Ended(w, &bank.Transfers, "refused", saga.Compensated)
		holds(w, map[string]int64{"ada": 6_975, "bob": 3_000, "Bank:Fees": 25})

		w.When(pay("no money for the fee", "bob", 6_975).Start)
		if st := sagatest.Ended(w, &bank.Transfers, "no money for the fee", saga.Compensated); st.Refused != "fee" {
			w.Errorf("refused is %s: %v", st.Refused, st.Err)
		}
		holds(w, map[string]int64{"ada": 6_975, "bob": 3_000, "Bank:Fees": 25})

		if a := clean(w); a.Fees != 1 || a.Completed != 1 || a.Refunded != 2 || a.Refused != 0 {
			w.Errorf("%+v", a)
		}
	})
}

// TestApproval: above the limit a transfer waits for a person, a day at most. What it
// waits with is taken and not given yet.
func TestApproval(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, bank.Handlers(), nil, func(w *sagatest.World) {
		w.When(open(ada, 10_000))
		w.When(open(bob, 0))
		w.When(agree(ada, bank.Terms{Limit: 1_000, Flat: 5}))

		w.When(pay("small", "bob", 1_000).Start)
		sagatest.Ended(w, &bank.Transfers, "small", saga.Completed)

		for _, id := range []string{"yes", "no", "late"} {
			w.When(pay(id, "bob", 1_001).Start)
		}
		w.When(decide("early", true)) // before the transfer is started
		w.When(pay("early", "bob", 1_001).Start)
		holds(w, map[string]int64{"ada": 10_000 - 1_005 - 1_006 - 3*1_001, "bob": 2_001, "Bank:Fees": 10})
		if a := clean(w); a.Waiting != 3 || a.Completed != 2 {
			w.Errorf("%+v", a)
		}

		w.Sleep(bank.ApprovalTime - time.Minute)
		w.When(decide("yes", true))
		w.Settle()
		w.When(decide("yes", false)) // the first one counts
		w.When(decide("no", false))
		sagatest.Ended(w, &bank.Transfers, "yes", saga.Completed)
		if st := sagatest.Ended(w, &bank.Transfers, "no", saga.Compensated); st.Refused != "approval" ||
			st.Err.Error() != "the transfer was not approved: refused by ann: why not" {
			w.Errorf("refused is %s: %v", st.Refused, st.Err)
		}
		w.Sleep(2 * time.Minute)
		w.When(decide("late", true))
		if st := sagatest.Ended(w, &bank.Transfers, "late", saga.Compensated); st.Cause != saga.CauseTimeout {
			w.Errorf("it went back because of %s", st.Cause)
		}
		holds(w, map[string]int64{"ada": 10_000 - 1_005 - 2*1_006, "bob": 3_002, "Bank:Fees": 15})
		if a := clean(w); a.Waiting != 0 || a.Completed != 3 || a.Refunded != 2 || a.Refused != 0 || a.Fees != 3 {
			w.Errorf("%+v", a)
		}
	})
}
