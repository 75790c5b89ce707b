package bank_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// do commits what the functions do.
func do(t testing.TB, log *eventlog.Log, fns ...func(*eventlog.Tx) error) {
	t.Helper()
	_, err := log.Update(context.Background(), func(tx *eventlog.Tx) error {
		for _, fn := range fns {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func open(id bank.AccountID, cents int64) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		if err := bank.Open(tx, id, bank.Customer); err != nil || cents == 0 {
			return err
		}
		return bank.Deposit(tx, id, cents, "", "")
	}
}

func on(fn func(*eventlog.Tx, bank.AccountID) error, id bank.AccountID) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error { return fn(tx, id) }
}

// drain runs the sagas until nothing is due.
func drain(t testing.TB, log *eventlog.Log) {
	t.Helper()
	if err := (&outbox.Runner{Log: log, Handlers: bank.Handlers()}).Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// postings returns what was posted to an account for a transfer.
func postings(t testing.TB, log *eventlog.Log, id bank.AccountID, transfer string) (amounts []int64) {
	t.Helper()
	for r, err := range log.Read(context.Background(), eventlog.Query{Stream: id.Stream(), Types: []string{bank.Posted{}.EventType()}}) {
		var p bank.Posted
		if err == nil {
			err = r.Decode(&p)
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Saga == "transfer/"+transfer {
			amounts = append(amounts, p.Amount)
		}
	}
	return amounts
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	carl := bank.AccountID{Name: "{carl}/100%", Currency: "EUR"}
	before := func(fns ...func(*eventlog.Tx) error) []func(*eventlog.Tx) error {
		return append([]func(*eventlog.Tx) error{open(ada, 500), open(bob, 0)}, fns...)
	}
	for name, c := range map[string]struct {
		given    []func(*eventlog.Tx) error
		to       bank.AccountID
		amount   int64
		after    func(*eventlog.Tx) error // between the start and the steps
		state    saga.State
		refused  string // step
		because  error
		from, on []int64 // postings
	}{
		"completed":             {before(), bob, 500, nil, saga.Completed, "", nil, []int64{-500}, []int64{500}},
		"to an odd name":        {before(open(carl, 0)), carl, 1, nil, saga.Completed, "", nil, []int64{-1}, []int64{1}},
		"without funds":         {before(), bob, 501, nil, saga.Compensated, "debit", bank.ErrFunds, nil, nil},
		"to a frozen account":   {before(on(bank.Freeze, bob)), bob, 7, nil, saga.Compensated, "credit", bank.ErrFrozen, []int64{-7, 7}, nil},
		"to a closed account":   {before(on(bank.Close, bob)), bob, 7, nil, saga.Compensated, "credit", bank.ErrClosed, []int64{-7, 7}, nil},
		"to nobody":             {before(), carl, 7, nil, saga.Compensated, "credit", bank.ErrNoAccount, []int64{-7, 7}, nil},
		"from a frozen account": {before(on(bank.Freeze, ada)), bob, 7, nil, saga.Compensated, "debit", bank.ErrFrozen, nil, nil},
		"closed on the way":     {before(), bob, 7, on(bank.Close, bob), saga.Compensated, "credit", bank.ErrClosed, []int64{-7, 7}, nil},
		"more than fits": {before(func(tx *eventlog.Tx) error { return tx.Append(bob.Stream(), posted(math.MaxInt64)) }),
			bob, 7, nil, saga.Compensated, "credit", bank.ErrOverflow, []int64{-7, 7}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := eventlogtest.New(t)
			do(t, log, c.given...)
			tr := bank.Transfer{ID: "t 1", From: ada.Name, To: c.to.Name, Currency: "EUR", Amount: c.amount}
			do(t, log, tr.Start)
			if c.after != nil {
				do(t, log, c.after)
			}
			drain(t, log)
			st, err := bank.Transfers.Status(context.Background(), log, tr.ID)
			if err != nil || st.State != c.state || st.Refused != c.refused || (st.Err == nil) != (c.because == nil) {
				t.Fatalf("the transfer is %+v, %v", st, err)
			}
			if c.because != nil && !strings.Contains(st.Err.Error(), c.because.Error()) {
				t.Errorf("refused because %v, want %v", st.Err, c.because)
			}
			if diff := cmp.Diff(c.from, postings(t, log, ada, tr.ID)); diff != "" {
				t.Errorf("postings to the payer (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.on, postings(t, log, c.to, tr.ID)); diff != "" {
				t.Errorf("postings to the payee (-want +got)\n%s", diff)
			}
		})
	}
}

// TestRefundAsksNobody: the payer's account was frozen, or emptied and closed,
// between debit and refund.
func TestRefundAsksNobody(t *testing.T) {
	t.Parallel()
	for _, stop := range []func(*eventlog.Tx, bank.AccountID) error{bank.Freeze, bank.Close} {
		log := eventlogtest.New(t)
		do(t, log, open(ada, 7))
		debit, tr := &bank.Transfers.Steps[0], &bank.Transfer{ID: "t", From: "ada", To: "bob", Currency: "EUR", Amount: 7}
		do(t, log, func(tx *eventlog.Tx) error { return errors.Join(debit.Do(tx, tr), stop(tx, ada), debit.Undo(tx, tr)) })
		if got := postings(t, log, ada, "t"); !cmp.Equal(got, []int64{-7, 7}) {
			t.Errorf("posted %v", got)
		}
	}
}

func TestRefundWaitsForRoom(t *testing.T) {
	t.Parallel()
	eventlogtest.Given(t, &bank.Accounts, ada.Stream(), ledger, posted(math.MaxInt64-6)).
		When(func(tx *eventlog.Tx) error {
			return bank.Transfers.Steps[0].Undo(tx, &bank.Transfer{ID: "t", From: "ada", To: "bob", Currency: "EUR", Amount: 7})
		}).
		ThenError(bank.ErrOverflow)
}

func TestStartTransfer(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	good := bank.Transfer{ID: "t", From: "ada", To: "bob", Currency: "EUR", Amount: 7}
	for want, change := range map[error]func(*bank.Transfer){
		bank.ErrAmount:       func(t *bank.Transfer) { t.Amount = -7 },
		bank.ErrSameAccount:  func(t *bank.Transfer) { t.To = t.From },
		bank.ErrName:         func(t *bank.Transfer) { t.From = "" },
		eventlog.ErrTooLarge: func(t *bank.Transfer) { t.ID = strings.Repeat("x", 1000) },
	} {
		bad := good
		change(&bad)
		if _, err := log.Update(context.Background(), bad.Start); !errors.Is(err, want) {
			t.Errorf("%+v: error %v, want %v", bad, err, want)
		}
	}
	do(t, log, good.Start)
	before := position(t, log)
	do(t, log, good.Start)
	if after := position(t, log); after != before {
		t.Error("the second start wrote something")
	}
	other := good
	other.Amount++
	if _, err := log.Update(context.Background(), other.Start); !errors.Is(err, eventlog.ErrIDReused) {
		t.Errorf("other content under the same id: error %v", err)
	}
}

// TestTransfersAtOnce: many transfers over few accounts conserve the money and
// overdraw nobody.
func TestTransfersAtOnce(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	const accounts, transfers, each = 5, 200, 100
	for i := range accounts {
		do(t, log, open(bank.AccountID{Name: fmt.Sprint("a", i), Currency: "EUR"}, each))
	}
	do(t, log, on(bank.Freeze, bank.AccountID{Name: "a4", Currency: "EUR"}))
	for i := range transfers {
		do(t, log, bank.Transfer{ID: fmt.Sprint("t", i), From: fmt.Sprint("a", i%accounts), To: fmt.Sprint("a", (i+1+i%3)%accounts),
			Currency: "EUR", Amount: int64(1 + i*37%90)}.Start)
	}
	drain(t, log)
	states := make(map[saga.State]int)
	for st, err := range bank.Transfers.Instances(context.Background(), log) {
		if err != nil {
			t.Fatal(err)
		}
		states[st.State]++
	}
	if states[saga.Completed] == 0 || states[saga.Compensated] == 0 || len(states) != 2 {
		t.Errorf("states %v", states)
	}
	sum := int64(0)
	for i := range accounts {
		b := balance(t, log, fmt.Sprint("a", i), "EUR")
		if b < 0 {
			t.Errorf("a%d has %d", i, b)
		}
		sum += b
	}
	if sum != accounts*each {
		t.Errorf("the accounts hold %d, want %d", sum, accounts*each)
	}
}
