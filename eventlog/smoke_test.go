package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

type Opened struct{ Owner string }
type Posted struct{ Amount int64 }

func (Opened) EventType() string { return "bank.opened" }
func (Posted) EventType() string { return "bank.posted" }

type Account struct {
	Owner   string
	Balance int64
	Open    bool
}

var account = eventlog.Model[Account]{Name: "account", Version: 1, Folds: eventlog.Folds[Account]{
	eventlog.On(func(a *Account, e Opened) { a.Owner, a.Open = e.Owner, true }),
	eventlog.On(func(a *Account, e Posted) { a.Balance += e.Amount }),
}}

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	l, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := l.Append(ctx, fmt.Sprintf("account/%d", i), &eventlog.AppendOptions{Expect: eventlog.NoStream}, Opened{"x"}, Posted{1000}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				from, to := fmt.Sprintf("account/%d", (i+j)%8), fmt.Sprintf("account/%d", (i*3+j+1)%8)
				_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
					a, err := account.Load(tx, from)
					if err != nil {
						return err
					}
					if a.Balance < 10 {
						return errors.New("funds")
					}
					if err := tx.Append(from, Posted{-10}); err != nil {
						return err
					}
					return tx.Append(to, Posted{10})
				})
				if err != nil && err.Error() != "funds" {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sum, n := int64(0), 0
	for r, err := range l.Read(ctx, eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "bank.posted" {
			var p Posted
			if err := r.Decode(&p); err != nil {
				t.Fatal(err)
			}
			sum += p.Amount
			n++
		}
	}
	if sum != 8000 {
		t.Errorf("sum %d of %d", sum, n)
	}
	for i := range 8 {
		a, err := account.At(ctx, l, eventlog.Query{Stream: fmt.Sprintf("account/%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		if a.Balance < 0 {
			t.Errorf("%d: %+v", i, a)
		}
	}
	if err := eventlog.Check(ctx, l); err != nil {
		t.Error(err)
	}
}
