package saga

import (
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
)

// Reactions make a process manager of a reader of events: they start sagas, and send
// them signals, because of what happens in the log. They fit an outbox.Reactor, which
// calls React once for each event, with a transaction in which it notes that it did:
//
//	var orders = saga.Reactions{
//		saga.OnEvent(func(tx *eventlog.Tx, r eventlog.Record, e Placed) error {
//			return outbox.Enqueue(tx, order.Begin(e.Order, Order{…}))
//		}),
//		saga.OnEvent(func(tx *eventlog.Tx, r eventlog.Record, e Paid) error {
//			return outbox.Enqueue(tx, saga.Signal{Saga: order.Name, ID: e.Order, Name: "paid", Dedup: r.ID.String(), Data: e})
//		}),
//	}
//
//	reactor := &outbox.Reactor{Log: log, Name: "orders", Types: orders.Types(), React: orders.React}
//
// Whatever else brings each event at least once will do too: starts are idempotent by
// the instance's id, and signals by their Dedup.
type Reactions []Reaction

// A Reaction is what is done when an event of one type has happened. [OnEvent] makes
// one.
type Reaction struct {
	typ   string
	react func(*eventlog.Tx, eventlog.Record) error
}

// OnEvent makes the Reaction to events of type E. What fn enqueues belongs to the
// event's transaction; it may also Start a saga, which then takes part in it.
func OnEvent[E eventlog.Event](fn func(tx *eventlog.Tx, r eventlog.Record, e E) error) Reaction {
	var zero E
	return Reaction{zero.EventType(), func(tx *eventlog.Tx, r eventlog.Record) error {
		var e E
		if err := r.Decode(&e); err != nil {
			return err
		}
		return fn(tx, r, e)
	}}
}

// Types returns the types of the events that there are reactions to.
func (rs Reactions) Types() (list []string) {
	for _, r := range rs {
		if !slices.Contains(list, r.typ) {
			list = append(list, r.typ)
		}
	}
	return list
}

// React does what is to be done because of an event: all reactions to its type, in
// their order. Events of other types are none of its business.
func (rs Reactions) React(tx *eventlog.Tx, r eventlog.Record) error {
	for _, reaction := range rs {
		if reaction.typ != r.Type {
			continue
		}
		if err := reaction.react(tx, r); err != nil {
			return fmt.Errorf("saga: reaction to %s: %w", r.Type, err)
		}
	}
	return nil
}
