package bank

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// Standing is a standing order as operators see it.
type Standing struct {
	ID string `json:"id"`
	Order
	Next    Date   `json:"next,omitempty"`    // due date; empty: it is cancelled
	Outcome string `json:"outcome,omitempty"` // of the last execution's transfer
}

// ShowOrder returns a standing order. ErrNoOrder: there is none of that id.
func ShowOrder(ctx context.Context, log *eventlog.Log, id string) (Standing, error) {
	o, err := Orders.At(ctx, log, eventlog.Query{Stream: streamOfOrder(id)})
	if err != nil {
		return Standing{}, err
	}
	s := Standing{ID: id, Order: *o}
	switch o.State {
	case "":
		return s, fmt.Errorf("order %s: %w", id, ErrNoOrder)
	case Active:
		s.Next = o.Next()
	}
	if o.Last != "" {
		s.Outcome, err = outcome(ctx, log, OrderTransfer(id, o.Last))
	}
	return s, err
}

// ListOrders yields all standing orders by id.
func ListOrders(ctx context.Context, log *eventlog.Log) iter.Seq2[Standing, error] {
	return func(yield func(Standing, error) bool) {
		for info, err := range log.Streams(ctx, orderStream) {
			var s Standing
			id, ok := parseOrder(info.Stream)
			if err == nil && !ok {
				continue
			}
			if err == nil {
				s, err = ShowOrder(ctx, log, id)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// outcome says what became of a transfer.
func outcome(ctx context.Context, log *eventlog.Log, id string) (string, error) {
	st, err := Transfers.Status(ctx, log, id)
	switch {
	case errors.Is(err, saga.ErrNotFound):
		return "to be started", nil
	case err != nil:
		return "", err
	case st.Err != nil:
		return fmt.Sprintf("%s: %v", st.State, st.Err), nil
	}
	return string(st.State), nil
}

// Chain returns the chain of steps that a transfer, a payment, a standing order or
// the interest of a month belongs to. saga.ErrNotFound: nobody knows it.
func Chain(ctx context.Context, log *eventlog.Log, id string) (eventlog.ID, error) {
	for _, name := range []string{Transfers.Name, Payments.Name, InterestRuns.Name} {
		switch i, err := saga.Show(ctx, log, name, id); {
		case err == nil:
			return i.Chain, nil
		case !errors.Is(err, saga.ErrNotFound):
			return eventlog.ID{}, err
		}
	}
	for r, err := range log.Read(ctx, eventlog.Query{Stream: streamOfOrder(id), Limit: 1}) {
		return r.Meta.Correlation, err
	}
	return eventlog.ID{}, fmt.Errorf("%s: %w", id, saga.ErrNotFound)
}
