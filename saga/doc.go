// Package saga does work on several streams, in any shards, that belongs
// together: one step after the other, each in a transaction of its own, and when
// one is refused, what was done before is undone in reverse order.
//
// A [Saga] is declared once, its Handlers are given to an [outbox.Runner], and
// Start starts an instance with whatever else a transaction does. From then on
// the instance is brought to its end: [Completed] or [Compensated], exactly one
// of them, each step's effect exactly once, whatever crashes in between.
//
// An instance has a stream of its own, which holds its state after each step;
// see Status, Await and Instances.
//
// # What is stored
//
// In the system stream $saga-NAME/ID: $saga.started {version, data}, $saga.done
// {step, data}, $saga.refused {step, error}, $saga.undone {step, data},
// $saga.completed, $saga.compensated. Steps of the outbox have the types
// $saga/NAME/STEP/do and $saga/NAME/STEP/undo {id, data}, whose target is the
// step's stream, and $saga/NAME {step, undo, error, data}, the reply to the
// instance's own.
package saga
