// Package outbox does work on many streams in steps: a step is committed
// together with the change that caused it, and rolled forward later, in a commit
// of its own, exactly once.
//
//	type Greet struct{ To string }
//
//	func (Greet) StepType() string { return "greet" }
//	func (g Greet) Target() string { return "person/" + g.To }
//
//	// In an Update:
//	err := outbox.Enqueue(tx, Greet{To: "ann"})
//
//	// In some process:
//	runner := &outbox.Runner{Log: log, Handlers: []outbox.Handler{
//		outbox.On(func(tx *eventlog.Tx, g Greet) error { return tx.Append(g.Target(), Greeted{}) }, nil),
//	}}
//	err := runner.Run(ctx)
//
// # Promises
//
// A step is committed with its transaction or not at all. Every step that was
// committed is rolled forward by whatever Runner knows its type, also after
// crashes and lost notifications, or it is reported: as pending (see [Pending]),
// or as a dead letter (see [Dead]). What its handler writes through tx happens
// exactly once, however many runners work on the log, because the mark that the
// step is done is in the same commit, on the condition that there is none yet.
//
// Steps for one target run in the order in which one shard's transactions
// enqueued them, and many of them share a commit. A step that fails is rolled
// back alone and waits for its next attempt; those behind it overtake it.
// Attempts and their pauses are in the log, so a restart does not reset them. No
// failure delays another target, as long as no more steps of one shard wait than
// a Runner remembers (see ReadAhead).
//
// # What is stored
//
// In the shard of the transaction that enqueued it, in the system stream
// $steps/N, an event $step.enqueued {type, target, data, chain, actor,
// traceparent}; the step's id is that of the event. In the target's shard, under
// the tag $step/ID: $step.failed {attempt, error, due} and $step.done {error} in
// $outcomes/N, or $step.dead {shard, version, attempts, error, first} in $dead/N.
// A commit has the correlation of its step's chain and the step as causation;
// when it holds steps of several chains it has neither, and the events have the
// tag $chain/ID. Which steps need no more looking at is a cell, which may be lost.
package outbox
