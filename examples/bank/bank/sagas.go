package bank

import (
	"slices"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Handlers returns what an outbox.Runner needs to run all that the bank does in
// steps: its sagas and its standing orders.
func Handlers() []outbox.Handler {
	return slices.Concat(Transfers.Handlers(), Fees.Handlers(), InterestRuns.Handlers(), Accruals.Handlers(),
		Payments.Handlers(), []outbox.Handler{outbox.On(execute, &patient)})
}

// Sagas returns the runner that brings what the bank has begun to its end.
func Sagas(log *eventlog.Log) *outbox.Runner {
	return &outbox.Runner{Log: log, Handlers: Handlers()}
}
