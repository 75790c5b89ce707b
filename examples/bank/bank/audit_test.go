package bank_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/sys"
	"github.com/rollforward/rollforward/outbox"
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

// rich is a log with all that the bank does in it, done.
func rich(t *testing.T) *eventlog.Log {
	t.Helper()
	log := eventlogtest.New(t)
	other := newOtherBank()
	defer other.close()
	do(t, log, open(ada, 100_000), open(bob, 5), agree(ada, bank.Terms{Limit: 1_000, Flat: 5}))
	do(t, log, func(tx *eventlog.Tx) error { return bank.Deposit(tx, bob, 1_000, lastMonth(tx).AddMonths(-1), "") })
	do(t, log, pay("paid", "bob", 1_000).Start, pay("back", "nobody", 1_000).Start, pay("asked", "bob", 1_001).Start,
		pay("asks", "bob", 1_002).Start, decide("asked", true), abroad(300).Start,
		func(tx *eventlog.Tx) error { return bank.Place(tx, "rent", rent(bank.DateOf(tx.Time()), 70)) },
		func(tx *eventlog.Tx) error {
			return bank.Interest{Month: lastMonth(tx).AddMonths(-1).Month(), Currency: "EUR", Rate: 1200}.Start(tx)
		})
	if err := (&outbox.Runner{Log: log, Handlers: over(other.client())}).Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	return log
}

// lastMonth is a day before this month.
func lastMonth(tx *eventlog.Tx) bank.Date { return bank.DateOf(tx.Time())[:len("2006-01")] + "-01" }

// raw appends an event to a stream of a saga's instance, as only the library may.
func raw(stream, typ, data string) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		return tx.Append(stream, sys.Event{Type: typ, Data: []byte(data)})
	}
}

// TestExamineAll: nothing is wrong with a bank in which everything has happened, and
// whatever is added to it is found.
func TestExamineAll(t *testing.T) {
	t.Parallel()
	bobs := bob.Stream()
	for name, c := range map[string]struct {
		do   func(tx *eventlog.Tx) error
		want string
	}{
		"nothing":           {},
		"a fee for nothing": {raw(bobs, "bank.posted", `{"amount":-5,"saga":"fee/x"}`), "fee x was never started"},
		"a fee twice":       {raw(bobs, "bank.posted", `{"amount":-5,"saga":"fee/paid"}`), "fee paid/fee.2 is completed and has the postings"},
		"another fee than agreed": {func(tx *eventlog.Tx) error {
			return raw("$saga-transfer/x", "$saga.started", `{"v":2,"data":{"id":"x","from":"bob","to":"ada","currency":"EUR","amount":1,"fee":5},"end":"completed"}`)(tx)
		}, "transfer x costs 5, by the terms of bob EUR 0"},
		"a transfer without its fee": {func(tx *eventlog.Tx) error {
			return raw("$saga-transfer/x", "$saga.started", `{"v":2,"data":{"id":"x","from":"bob","to":"ada","currency":"EUR","amount":1,"fee":5},"end":"completed"}`)(tx)
		}, "transfer x is completed without its fee of 5"},
		"a fee that is kept": {func(tx *eventlog.Tx) error {
			return raw("$saga-fee/x", "$saga.started", `{"v":1,"data":{"transfer":"back","payer":"ada","currency":"EUR","amount":5},"end":"completed"}`)(tx)
		}, "fee x of 5 is completed, its transfer has the fee 5 and completed: false"},
		"nobody approved": {func(tx *eventlog.Tx) error {
			err := raw("$saga-transfer/x", "$saga.started", `{"v":2,"data":{"id":"x","from":"ada","to":"bob","currency":"EUR","amount":2000,"fee":5},"end":"completed"}`)(tx)
			return errors.Join(err, tx.Append(ada.Stream(), bank.Posted{Amount: -2000, Saga: "transfer/x"}))
		}, "transfer x is above the limit of ada EUR and nobody approved it"},
		"a held debit twice": {raw(bobs, "bank.posted", `{"amount":-5,"saga":"transfer/asks"}`), "transfer asks is running and has the postings"},

		"an execution of nothing": {raw("order/rent", "bank.order_executed", `{"due":"2099-01-01"}`), "order rent, active and due at"},
		"an execution without a transfer": {raw("order/rent", "bank.order_executed", `{"due":"2099-01-01"}`),
			"transfer order/rent/2099-01-01 of a standing order was never started"},
		"a day that was missed": {func(tx *eventlog.Tx) error {
			return tx.Append("order/x", rent(lastMonth(tx), 5))
		}, "order/x is due since"},
		"a transfer of no order": {raw("$saga-transfer/order/x/2026-01-01", "$saga.started",
			`{"v":2,"data":{"id":"order/x/2026-01-01","from":"bob","to":"ada","currency":"EUR","amount":1},"back":"cancel","end":"cancelled"}`),
			"transfer order/x/2026-01-01 belongs to no execution of an order"},

		"a payment of nobody":      {raw(bobs, "bank.posted", `{"amount":-5,"saga":"payment/x"}`), "payment x was never started"},
		"a payment that was twice": {raw(bobs, "bank.posted", `{"amount":-5,"saga":"payment/abroad"}`), "payment abroad is completed and has the postings"},

		"interest of nobody": {raw(bobs, "bank.posted", `{"amount":5,"saga":"interest/2026-01/EUR/bob"}`), "interest 2026-01/EUR/bob was never started"},
		"interest twice": {func(tx *eventlog.Tx) error {
			return tx.Append(bobs, bank.Posted{Amount: 10, Saga: "interest/" + string(lastMonth(tx).AddMonths(-1).Month()) + "/EUR/bob"})
		}, "is completed and has the postings"},
		"another sum": {func(tx *eventlog.Tx) error {
			month := string(lastMonth(tx).AddMonths(-1).Month())
			return raw("$saga-accrual/x", "$saga.started", `{"v":1,"data":{"account":"x","currency":"EUR","month":"`+month+`","rate":1200,"amount":0},"end":"completed"}`)(tx)
		}, "its accounts say"},
		"on another balance": {func(tx *eventlog.Tx) error {
			err := raw("$saga-accrual/x", "$saga.started", `{"v":1,"data":{"account":"bob","currency":"EUR","month":"2020-01","rate":1200,"amount":10},"end":"completed"}`)(tx)
			p := bank.Posted{Amount: 10, Saga: "interest/2020-01/EUR/bob"}
			q := p
			q.Amount = -10
			return errors.Join(err, tx.Append(bobs, p), tx.Append(bank.InterestPaid("EUR").Stream(), q))
		}, "the interest of 2020-01 on bob EUR is 10, want 0"},
		"an account left out": {raw("$saga-interest/2020-01/EUR", "$saga.started",
			`{"v":1,"data":{"month":"2020-01","currency":"EUR","rate":1},"end":"completed"}`), "interest 2020-01/EUR leaves bob EUR out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := rich(t)
			if c.do != nil {
				do(t, log, c.do)
			}
			a := examine(t, log, readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db")))
			if c.want != "" {
				if !strings.Contains(strings.Join(a.Problems, "\n"), c.want) {
					t.Errorf("problems %q, want %q", a.Problems, c.want)
				}
				return
			}
			want := &bank.Audit{Accounts: 7, Postings: a.Postings, Transfers: 5, Completed: 3, Refunded: 1, Waiting: 1, Fees: 3, Orders: 1, Executions: 1,
				Payments: 1, Sent: 1, Interest: 1, Currencies: []string{"EUR"}, Problems: []string{}}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
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
