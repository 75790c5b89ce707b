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
// committed is rolled forward by the [Runner] that holds its shard, also after
// crashes and lost notifications, or it is reported: as pending (see [Pending]),
// or as a dead letter (see [Dead], [Redrive], [Discard]). What its handler writes
// through tx happens exactly once, however many runners work on the log, because
// the mark that the step is done is in the same commit, on the condition that
// nothing else was decided about it. So done, dead, redriven, discarded and
// cancelled exclude each other.
//
// # Order
//
// Ordered are the steps of one shard for one target: they run in the order in
// which that shard's commits hold them. A step is stored in the shard of what
// emits it (see [Enqueue]), so all that one stream, or one target's handlers,
// emit for a target is in order. Not ordered are steps for different targets,
// and steps that come from different shards. A step that fails, or waits for its
// time, is overtaken by those behind it, unless its [Policy] is Ordered; one that
// is left to another program always is; one with a Priority overtakes others.
//
// What a saga does at once (see Runner.AtOnce) is no step, and overtakes those that wait
// for the same stream.
//
// Many steps share a commit: those of one target, and those of other targets
// that lie in the same shard. A step that fails is rolled back alone. A step
// that a handler enqueues for its own target runs in the same commit if nothing
// is ahead of it.
//
// # Programs of several versions
//
// A step whose type a runner does not know, or that its handler gives to [Park], is
// left to another program: it is parked, pending and counted, but no attempt of it
// is, and it is in nobody's way. Another runner that can do it does within about a
// lease time, though this one keeps the shard; whoever takes the shard over tries
// it, too. So programs of several versions may run beside each other, as in a
// rolling deploy.
//
// # Tenants
//
// The first segment of a target's name, up to its first slash, is its tenant. No
// failure delays another target, and no backlog another tenant: of each shard a
// tenant has a share of what is in hand, tenants take turns, and what one has no
// room for is read again when it has.
//
// # Time
//
// Attempts and their pauses are in the log, so a restart does not reset them. A
// step may wait for its time (see [At]), and a target may have named alarms (see
// [Timer]). What waits costs nothing until it is due. Time is the log's: it
// never goes back; when a machine's clock jumps ahead, what is due by then runs.
//
// # What is stored
//
// In the emitter's shard, in the system stream $steps/N: $step.enqueued {type,
// target, due, timer, chain, cause, actor, traceparent, data}; the step's id is
// that of the event, cause that of the step whose handler emitted it. $step.again
// {step, and the same} says there that a dead letter was decided on.
//
// In the target's shard, under the tag $step/ID: in $outcomes/N $step.failed
// {attempt, error, due}, $step.cancelled, $step.done {error}, and for a step that
// ran in the commit that emitted it $step.rolled {as $step.enqueued}; in $dead/N
// $step.dead {shard, version, type, target, attempts, error, expired, first},
// $step.redriven {by, why, data} and $step.discarded {by, why}. A step that a
// timer is set to has the tag $timer/LENGTH/TARGET/NAME, and so has
// $timer.cancelled in $outcomes/N.
//
// A [Reactor] keeps how far it is in $react-NAME/N and what it skipped in
// $skipped-NAME/N, an [Inbox] what it refused in $refused-NAME/N and the ids of
// messages under inbox/NAME; a [Relay] has its cursors in cells.
//
// Cells say which steps need no look now: how far a shard is done, which steps
// behind that wait, are parked or stopped, and who holds a shard. All of them may
// be lost together; then outcomes are looked up again.
package outbox
