package bank_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

// readModel opens the read model of a log in a fresh file.
func readModel(t testing.TB, log *eventlog.Log, file string) *bank.ReadModel {
	t.Helper()
	m, err := bank.OpenReadModel(context.Background(), log, file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := m.CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStatement(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	usd := bank.AccountID{Name: "ada", Currency: "USD"}
	_, err := log.Update(context.Background(), func(tx *eventlog.Tx) error {
		return errors.Join(bank.Open(tx, ada, bank.Customer), bank.Open(tx, usd, bank.Customer), bank.Open(tx, bob, bank.Customer),
			bank.Deposit(tx, ada, 500, "", "wages"), bank.Withdraw(tx, ada, 120, "", "rent"), bank.Deposit(tx, usd, 7, "", "tip"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := importText(log, header+"T1,2024-02-29,lunch,ada,-80,EUR\nT1,2024-02-29,lunch,Expenses:Food,80,EUR\n"); err != nil {
		t.Fatal(err)
	}
	m := readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))
	today := day(t, log, ada.Stream())
	want := []bank.Line{
		{Account: "ada", Currency: "EUR", Version: 2, Date: today, Description: "wages", Amount: 500, Balance: 500},
		{Account: "ada", Currency: "EUR", Version: 3, Date: today, Description: "rent", Amount: -120, Balance: 380},
		{Account: "ada", Currency: "EUR", Version: 4, Date: "2024-02-29", Transaction: "T1", Description: "lunch", Amount: -80, Balance: 300},
		{Account: "ada", Currency: "USD", Version: 2, Date: today, Description: "tip", Amount: 7, Balance: 7},
	}
	if diff := cmp.Diff(want, statement(t, m, "ada")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := statement(t, m, "bob"); len(got) != 0 {
		t.Errorf("bob has %v", got)
	}
	for _, err := range m.Statement(context.Background(), "nobody") {
		if !errors.Is(err, bank.ErrNoAccount) {
			t.Errorf("nobody has %v", err)
		}
	}
	for range m.Statement(context.Background(), "ada") {
		break // releases its connection, or the next would hang
	}
}

// day is when a stream began.
func day(t *testing.T, log *eventlog.Log, stream string) bank.Date {
	t.Helper()
	for r, err := range log.Read(context.Background(), eventlog.Query{Stream: stream, Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		return bank.DateOf(r.Time)
	}
	t.Fatalf("%s is empty", stream)
	return ""
}

func statement(t *testing.T, m *bank.ReadModel, name string) (lines []bank.Line) {
	t.Helper()
	for l, err := range m.Statement(context.Background(), name) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// TestReadModelOfAnotherLog: a log that was replaced brings its own read model.
func TestReadModelOfAnotherLog(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "readmodel.db")
	for i := range 3 {
		log := eventlogtest.New(t)
		if _, err := importText(log, header+whole(fmt.Sprint("t", i))); err != nil {
			t.Fatal(err)
		}
		m := readModel(t, log, file)
		done, total, err := m.Progress(context.Background())
		if err != nil || done != total || total == 0 {
			t.Errorf("progress %d of %d, %v", done, total, err)
		}
		for b, err := range m.Balances(context.Background()) {
			if err != nil || b.Cents != balance(t, log, b.Account, b.Currency) {
				t.Errorf("log %d: %+v, %v", i, b, err)
			}
		}
	}
}
