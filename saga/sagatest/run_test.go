package sagatest_test

import (
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

func TestTransfer(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, transfer.Handlers(), nil, func(w *sagatest.World) {
		w.Given("account/a", Opened{}, Posted{100})
		w.Given("account/b", Opened{})
		w.When(func(tx *eventlog.Tx) error {
			return transfer.Start(tx, "1", Transfer{"account/a", "account/b", 70})
		})
		w.Then("account/a", Opened{}, Posted{100}, Posted{-70})
		w.Then("account/b", Opened{}, Posted{70})
		sagatest.Ended(w, &transfer, "1", saga.Completed)
		w.When(func(tx *eventlog.Tx) error {
			return transfer.Start(tx, "2", Transfer{"account/a", "account/c", 20})
		})
		w.Then("account/a", Opened{}, Posted{100}, Posted{-70}, Posted{-20}, Posted{20})
		sagatest.Ended(w, &transfer, "2", saga.Compensated)
	})
}
