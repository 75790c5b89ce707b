package bank_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

// busy is a log with a bit of everything in it.
func busy(t *testing.T) *eventlog.Log {
	t.Helper()
	log := eventlogtest.New(t)
	if _, err := importText(log, header+whole("a")+whole("b")); err != nil {
		t.Fatal(err)
	}
	do(t, log, open(ada, 500), open(bob, 5), on(bank.Freeze, bank.AccountID{Name: "Assets:Cash", Currency: "EUR"}))
	for i, to := range []string{"bob", "Assets:Cash", "nobody", "bob"} {
		do(t, log, bank.Transfer{ID: fmt.Sprint("t", i), From: "ada", To: to, Currency: "EUR", Amount: int64(10 + 4990*(i/3))}.Start)
	}
	return log
}

func examine(t testing.TB, log *eventlog.Log, m *bank.ReadModel, acks ...string) *bank.Audit {
	t.Helper()
	a, err := bank.Examine(context.Background(), log, m, acks, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestExamine(t *testing.T) {
	t.Parallel()
	log := busy(t)
	if err := bank.Finish(context.Background(), log, time.Minute); err != nil {
		t.Fatal(err)
	}
	m := readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))
	want := &bank.Audit{Accounts: 5, Transactions: 2, Postings: 4 + 4 + 2 + 2 + 2, Transfers: 4, Completed: 1, Refunded: 3, Refused: 1,
		Acknowledged: 2, Currencies: []string{"EUR"}, Problems: []string{}}
	if diff := cmp.Diff(want, examine(t, log, m, "t0", "t3")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestExamineFinds: whatever is wrong, the examination says so.
func TestExamineFinds(t *testing.T) {
	t.Parallel()
	stream := ada.Stream()
	for name, c := range map[string]struct {
		do   func(tx *eventlog.Tx) error
		acks []string
		want string
	}{
		"a lost start":       {acks: []string{"t0", "t9"}, want: "transfer t9 was acknowledged and is lost"},
		"money from nowhere": {do: func(tx *eventlog.Tx) error { return tx.Append(stream, posted(5)) }, want: `transaction "" is off by 5 EUR`},
		"an unbalanced transaction": {do: func(tx *eventlog.Tx) error {
			return tx.Append(stream, bank.Posted{Amount: 5, Transaction: "x"}, posted(-5))
		}, want: `transaction "x" is off by 5 EUR`},
		"a transaction without a claim": {do: func(tx *eventlog.Tx) error {
			return tx.Append(stream, bank.Posted{Amount: 5, Transaction: "x"}, bank.Posted{Amount: -5, Transaction: "x"})
		}, want: "transactions claim 0 postings and have 2"},
		"a transaction that is claimed twice": {do: func(tx *eventlog.Tx) error {
			return tx.Append("transaction/a", bank.TransactionRecorded{})
		}, want: "transaction/a is claimed 2 times"},
		"a debit too many": {do: func(tx *eventlog.Tx) error {
			return tx.Append(stream, bank.Posted{Amount: -10, Saga: "transfer/t0"})
		}, want: "transfer t0 is completed and has the postings"},
		"a transfer nobody started": {do: func(tx *eventlog.Tx) error {
			return tx.Append(stream, bank.Posted{Amount: -10, Saga: "transfer/t9"})
		}, want: "transfer t9 was never started"},
		"a transfer under way": {do: bank.Transfer{ID: "t9", From: "ada", To: "bob", Currency: "EUR", Amount: 1}.Start,
			want: "transfer t9 has not ended: it is running"},
		"an overdrawn customer": {do: func(tx *eventlog.Tx) error {
			return tx.Append(stream, posted(-5000), posted(0))
		}, want: "ada EUR is overdrawn"},
		"an account nobody opened": {do: func(tx *eventlog.Tx) error {
			return tx.Append(bank.AccountID{Name: "ghost", Currency: "EUR"}.Stream(), posted(0))
		}, want: "ghost EUR was never opened"},
		"a total": {do: func(tx *eventlog.Tx) error { return tx.Append(stream, posted(5)) }, want: "the accounts in EUR sum to 5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := busy(t)
			drain(t, log)
			if c.do != nil {
				do(t, log, c.do)
			}
			m, err := bank.OpenReadModel(context.Background(), log, filepath.Join(t.TempDir(), "readmodel.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if name != "an account nobody opened" { // no read model takes that
				if err := m.CatchUp(context.Background()); err != nil {
					t.Fatal(err)
				}
			} else if err := m.CatchUp(context.Background()); err == nil {
				t.Error("the read model takes postings to an account that is not open")
			}
			a := examine(t, log, m, c.acks...)
			if !strings.Contains(strings.Join(a.Problems, "\n"), c.want) {
				t.Errorf("problems %q, want %q", a.Problems, c.want)
			}
		})
	}
}

// TestExamineReadModel: rows that are not what the log says are found, each kind.
func TestExamineReadModel(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]string{
		`update balance set balance_cents = balance_cents + 1 where account = 'ada'`: "ada EUR is {customer open 491} in the read model and {customer open 490} in the log",
		`update balance set state = 'closed' where account = 'bob'`:                  "bob EUR is {customer closed 15}",
		`delete from balance where account = 'ada'`:                                  "ada EUR is in the log and not in the read model",
		`insert into balance values ('eve', 'EUR', 'customer', 'open', 0)`:           "eve EUR is in the read model and not in the log",
		`delete from posting where account = 'ada' and version = 3`:                  "the statement of ada EUR has",
		`update posting set description = 'x' where account = 'ada' and version = 3`: "the statement of ada EUR has",
		`insert into posting values ('eve', 'EUR', 1, '', '', '', '', 0, 0)`:         "a statement of eve EUR",
	} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			log := busy(t)
			drain(t, log)
			file := filepath.Join(t.TempDir(), "readmodel.db")
			m := readModel(t, log, file)
			if a := examine(t, log, m); len(a.Problems) > 0 {
				t.Fatalf("problems at first: %q", a.Problems)
			}
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
			a := examine(t, log, m)
			if len(a.Problems) != 1 || !strings.Contains(a.Problems[0], want) {
				t.Errorf("problems %q, want %q", a.Problems, want)
			}
		})
	}
}
