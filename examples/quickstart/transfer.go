package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type Transfer struct {
	From, To string
	Cents    int64
}

type Approval struct{ By string }

var transfer = saga.Saga[Transfer]{Name: "transfer", Version: 1, Steps: saga.Steps[Transfer]{{
	Name: "debit",
	On:   func(t *Transfer) string { return t.From },
	Do:   func(tx *eventlog.Tx, t *Transfer) error { return tx.Append(t.From, Posted{-t.Cents}) },
	Undo: func(tx *eventlog.Tx, t *Transfer) error { return tx.Append(t.From, Posted{t.Cents}) },
}, {
	Name:    "approval", // by somebody, within a day, or the debit is undone
	Signal:  saga.On("approved", func(*Transfer, Approval) error { return nil }),
	Timeout: 24 * time.Hour,
}, {
	Name: "credit", // may be refused, and then the debit is undone
	On:   func(t *Transfer) string { return t.To },
	Do: func(tx *eventlog.Tx, t *Transfer) error {
		to, err := account.Load(tx, t.To)
		switch {
		case err != nil:
			return err // tried again
		case to.Cents+t.Cents > 1000:
			return outbox.Abort(errors.New("more than this account takes"))
		}
		return tx.Append(t.To, Posted{t.Cents})
	},
}}}

// transfers moves money from ada to bob, once as much as he may have and once more.
func transfers(ctx context.Context, l *eventlog.Log) {
	for id, cents := range map[string]int64{"t1": 20, "t2": 5000} {
		must(l.Update(ctx, func(tx *eventlog.Tx) error {
			return transfer.Start(tx, id, Transfer{"account/ada", "account/bob", cents})
		}))
		must(l.Update(ctx, func(tx *eventlog.Tx) error {
			return outbox.Enqueue(tx, saga.Signal{Saga: "transfer", ID: id, Name: "approved", Data: Approval{"eve"}})
		}))
	}
	steps := &outbox.Runner{Log: l, Handlers: transfer.Handlers()}
	if err := steps.Drain(ctx); err != nil { // a program that stays calls Run
		log.Fatal(err)
	}
	for t, err := range transfer.Instances(ctx, l) {
		fmt.Println(t.ID, must(t.State, err), t.Err)
	}
}
