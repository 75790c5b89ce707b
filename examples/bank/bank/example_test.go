package bank_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

func Example() {
	ctx := context.Background()
	l, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	ada, bob := bank.AccountID{Name: "ada", Currency: "EUR"}, bank.AccountID{Name: "bob", Currency: "EUR"}

	// Commands take the transaction first: all of these happen at one moment.
	_, err = l.Update(ctx, func(tx *eventlog.Tx) error {
		return errors.Join(
			bank.Open(tx, ada, bank.Customer),
			bank.Open(tx, bob, bank.Customer),
			bank.Deposit(tx, ada, 1000, "", "wages"))
	})
	if err != nil {
		log.Fatal(err)
	}

	// A transfer is a saga. Starting it is a promise; a runner keeps it.
	rent := bank.Transfer{ID: "rent", From: "ada", To: "bob", Currency: "EUR", Amount: 700}
	again := bank.Transfer{ID: "rent again", From: "ada", To: "bob", Currency: "EUR", Amount: 700}
	for _, t := range []bank.Transfer{rent, again} {
		if _, err := l.Update(ctx, t.Start); err != nil {
			log.Fatal(err)
		}
		if err := bank.Sagas(l).Drain(ctx); err != nil {
			log.Fatal(err)
		}
		st, err := bank.Transfers.Status(ctx, l, t.ID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.ID, "is", st.State, "because of:", st.Err)
	}

	// An account as it is, and as it was after its second event.
	for _, version := range []uint64{0, 2} {
		a, err := bank.Accounts.At(ctx, l, eventlog.Query{Stream: ada.Stream(), To: version})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ada, "holds", a.Balance)
	}
	// Output:
	// rent is completed because of: <nil>
	// rent again is compensated because of: ada EUR: insufficient funds: the balance is 300
	// ada EUR holds 300
	// ada EUR holds 1000
}
