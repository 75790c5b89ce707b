package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// waiting starts a loan that waits for its approval.
func waiting() *shown {
	log := show(loans.Handlers())
	log.do(func(tx *eventlog.Tx) error { return loans.Start(tx, "1", Loan{Customer: "bob", Cents: 5000}) })
	return log
}

func ExampleCancel() {
	log := waiting()
	defer log.Close()
	log.send(saga.Cancel{Saga: "loan", ID: "1", By: "ann", Reason: "he changed his mind"})
	i, err := saga.Show(context.Background(), log.Log, "loan", "1")
	fmt.Println(i.State, i.Cause, i.Err, err)
	// Output:
	// cancelled cancel cancelled by ann: he changed his mind <nil>
}

func ExampleSkip() {
	log := waiting()
	defer log.Close()
	log.send(saga.Skip{Saga: "loan", ID: "1", To: "pay", By: "ann", Reason: "the director knows him"})
	i, err := saga.Show(context.Background(), log.Log, "loan", "1")
	fmt.Println(i.State, i.Done, err)
	// Output:
	// completed [rating pay] <nil>
}

func ExampleRetry() {
	broken := true
	s := &saga.Saga[Fee]{Name: "fee", Version: 1, Steps: saga.Steps[Fee]{{
		Name: "take",
		On:   func(f *Fee) string { return "customer/" + f.Account },
		Do:   func(tx *eventlog.Tx, f *Fee) error { return tx.Append("customer/"+f.Account, Paid{-25}) },
		Undo: func(tx *eventlog.Tx, f *Fee) error {
			if broken {
				return outbox.Abort(errors.New("the account is locked"))
			}
			return tx.Append("customer/"+f.Account, Paid{25})
		},
	}, {
		Name: "book",
		On:   func(*Fee) string { return "book/fees" },
		Do:   func(*eventlog.Tx, *Fee) error { return outbox.Abort(errors.New("the book is closed")) },
	}}}
	log := show(s.Handlers())
	defer log.Close()
	log.do(func(tx *eventlog.Tx) error { return s.Start(tx, "1", Fee{Account: "ann"}) })
	i, err := saga.Show(context.Background(), log.Log, "fee", "1")
	fmt.Println(i.State, i.Err, err)

	broken = false
	log.send(saga.Retry{Saga: "fee", ID: "1", By: "bob"})
	i, err = saga.Show(context.Background(), log.Log, "fee", "1")
	fmt.Println(i.State, i.Err, err)
	// Output:
	// parked the account is locked <nil>
	// compensated the book is closed <nil>
}

func ExampleFork() {
	log := waiting()
	defer log.Close()
	log.send(saga.Fork{Saga: "loan", ID: "1", As: "2", Step: "pay"})
	log.send(saga.Fork{Saga: "loan", ID: "1", As: "3", Step: "approval", By: "ann"})
	for i, err := range saga.List(context.Background(), log.Log, "loan") {
		fmt.Println(i.ID, i.State, i.Step, err) // 1 never came to pay
	}
	// Output:
	// 1 running approval <nil>
	// 3 running approval <nil>
}

func ExampleInfo() {
	log := waiting()
	defer log.Close()
	for i, err := range saga.List(context.Background(), log.Log, "") { // of all sagas, whatever their types
		var data map[string]any
		if err != nil || json.Unmarshal(i.Data, &data) != nil {
			panic(err)
		}
		fmt.Println(i.Saga, i.ID, i.Version, i.State, i.Step, i.Signal, data["Customer"])
	}
	// Output:
	// loan 1 1 running approval approved bob
}

func ExampleEntry() {
	log := waiting()
	defer log.Close()
	log.send(saga.Cancel{Saga: "loan", ID: "1", By: "ann"})
	for e, err := range saga.History(context.Background(), log.Log, "loan", "1") {
		fmt.Println(e.What, e.Step, e.By, e.After.State, err)
	}
	// Output:
	// started   running <nil>
	// done rating  running <nil>
	// stopped approval ann cancelled <nil>
}

func ExampleCause() {
	log := waiting()
	defer log.Close()
	log.send(saga.Signal{Saga: "loan", ID: "1", Name: "approved", Data: Approval{"eve", false}})
	i, err := saga.Show(context.Background(), log.Log, "loan", "1")
	fmt.Println(i.State, i.Cause == saga.CauseRefused, err)
	// Output:
	// compensated true <nil>
}

func ExampleTree() {
	log := waiting()
	defer log.Close()
	ctx := context.Background()
	i, err := saga.Show(ctx, log.Log, "loan", "1")
	if err != nil {
		panic(err)
	}
	var tree *saga.Tree
	tree, err = saga.Trace(ctx, log.Log, i.Chain)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(tree.String()) {
		line, _, _ = strings.Cut(line, ": ") // how long it took
		fmt.Println(strings.TrimSpace(strings.ReplaceAll(line, tree.Chain.String(), "…")))
	}
	// Output:
	// chain …
	// └ loan rating on $call-loan/1
	// → loan reply to 1
	// → loan timer to 1
}

func ExampleNode() {
	log := waiting()
	defer log.Close()
	ctx := context.Background()
	i, err := saga.Show(ctx, log.Log, "loan", "1")
	if err != nil {
		panic(err)
	}
	tree, err := saga.Trace(ctx, log.Log, i.Chain)
	if err != nil {
		panic(err)
	}
	var node *saga.Node = tree.Roots[0]
	fmt.Println(node.Type, node.Target, node.Attempts, node.Over.IsZero(), len(node.Emitted))
	// Output:
	// $saga/loan/rating/do $call-loan/1 0 false 1
}

func ExampleReaction() {
	var onPaid saga.Reaction = saga.OnEvent(func(tx *eventlog.Tx, r eventlog.Record, p Paid) error {
		return outbox.Enqueue(tx, fees.Begin(r.ID.String(), Fee{Account: strings.TrimPrefix(r.Stream, "customer/")}))
	})
	manager := saga.Reactions{onPaid}
	fmt.Println(manager.Types())
	// Output:
	// [loan.paid]
}

// FeeV1 is what Fee was before.
type FeeV1 struct{ Account, Amount string }

func ExampleMigration() {
	v1 := saga.Saga[FeeV1]{Name: "fee", Version: 1, Steps: saga.Steps[FeeV1]{{
		Name: "ask", Signal: saga.On("go", func(*FeeV1, struct{}) error { return nil }),
	}}}
	v2 := saga.Saga[Fee]{Name: "fee", Version: 2,
		Steps: saga.Steps[Fee]{{Name: "confirm", Signal: saga.On("go", func(*Fee, struct{}) error { return nil })}},
		Migrations: []saga.Migration[Fee]{{
			From: 1,
			Data: saga.Convert(func(old FeeV1) (f Fee, err error) {
				f.Account = old.Account
				_, err = fmt.Sscan(old.Amount, &f.Cents)
				return
			}),
			Steps: map[string]string{"ask": "confirm"},
		}},
	}
	log := show(v2.Handlers())
	defer log.Close()
	log.do(func(tx *eventlog.Tx) error { return v1.Start(tx, "1", FeeV1{"ann", "25"}) })
	log.send(saga.Signal{Saga: "fee", ID: "1", Name: "go"})
	st, err := v2.Status(context.Background(), log.Log, "1")
	fmt.Println(st.Version, st.State, st.Done, st.Data, err)
	// Output:
	// 2 completed [confirm] {ann 25} <nil>
}

func ExampleConverter() {
	var convert saga.Converter[Fee] = saga.Convert(func(old FeeV1) (Fee, error) { return Fee{Account: old.Account}, nil })
	fee, err := convert([]byte(`{"Account":"ann"}`))
	fmt.Println(fee, err)
	// Output:
	// {ann 0} <nil>
}

func ExampleDefinition() {
	v2 := fees
	v2.Version = 2
	v2.Earlier = []saga.Definition{&fees} // instances of version 1 finish on it
	log := show(v2.Handlers())
	defer log.Close()
	log.do(func(tx *eventlog.Tx) error { return fees.Start(tx, "1", Fee{Account: "ann"}) })
	log.do(func(tx *eventlog.Tx) error { return v2.Start(tx, "2", Fee{Account: "ann"}) })
	for i, err := range saga.List(context.Background(), log.Log, "fee") {
		fmt.Println(i.ID, i.Version, i.State, err)
	}
	// Output:
	// 1 1 completed <nil>
	// 2 2 completed <nil>
}

func ExampleDifference() {
	log := waiting()
	defer log.Close()
	changed := loans
	changed.Steps = loans.Steps[1:]
	var d saga.Difference
	for diff, err := range saga.Replay(context.Background(), log.Log, &changed) {
		if err != nil {
			panic(err)
		}
		d = diff
		break
	}
	fmt.Println(d)
	// Output:
	// loan/1 at event 1, started: recorded: call step rating on $call-loan/1; now: signal step large, approval on approved
}
