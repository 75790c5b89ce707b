package projection

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// A Handler says what the events of one type do to a read model. It is made by
// On.
type Handler[T any] struct {
	typ  string
	bind func(r eventlog.Record) (func(tx T) error, error)
}

// Handlers is a list of what On returns, one for each event type.
type Handlers[T any] []Handler[T]

// On makes a handler for the events of type E. fn writes what e means for the
// read model through tx, the sink's transaction, and nowhere else. It gets the
// events of one shard one after another, in their order; events of different
// shards may come at the same time where the sink can do that. An error rolls
// the transaction back; see [Runner] for what comes then.
func On[T any, E eventlog.Event](fn func(tx T, r eventlog.Record, e E) error) Handler[T] {
	var zero E
	return Handler[T]{zero.EventType(), func(r eventlog.Record) (func(tx T) error, error) {
		var e E
		if err := r.Decode(&e); err != nil {
			return nil, err
		}
		return func(tx T) error { return fn(tx, r, e) }, nil
	}}
}

// Refuse is an Else that takes an event of a type without a handler for an
// error, which stops the projection.
func Refuse[T any](_ T, r eventlog.Record) error {
	return fmt.Errorf("%w: %s", eventlog.ErrUnknownType, r.Type)
}
