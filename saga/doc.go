// Package saga does work on several streams, in any shards, that belongs
// together: one step after the other, each in a transaction of its own, and when
// one is refused, what was done before is undone in reverse order.
//
// A [Saga] is declared once, its Handlers are given to an [outbox.Runner], and
// Start starts an instance with whatever else a transaction does. From then on
// the instance is brought to its end, whatever crashes in between: [Completed], or
// [Compensated] or [Cancelled] with all undone that was done, or it is [Parked],
// where everybody sees it and why, until somebody decides. It is never lost between
// them, and each step's effect on the log happens exactly once.
//
// A [Step] changes a stream, calls the outside world, waits for a time or a [Signal],
// runs other sagas as children, one or a hundred thousand, or branches.
//
// # Promises
//
// Undo follows an outcome. To cancel a step under way, to skip it, or to give it up
// after its Timeout or the saga's Deadline, the step is taken back where it runs, in its
// own shard: either it had been done, and then it counts and is undone with the rest,
// or it never is. A saga whose last step is done is completed, whatever came just too
// late. Only a Call may have happened without an outcome: then it is recalled.
//
// Each execution of a step in a loop is undone, once. A child that has completed goes
// back with its parent. Signals count whenever they come. Whoever tells an instance
// something twice, late, or out of order tells it once.
//
// Instances finish on the version that they began with, or move to a newer one by a
// [Migration]; one that nobody can run any more, or that comes to a step that was
// removed, is Parked and says so, also when the step was sent before. Those of a version
// that is newer than the program are left to the newer program that runs beside it, see
// [outbox.Park]; so raise the Version with the steps. See [Replay] and package sagatest
// for how to test a change.
//
// # At once
//
// A step of an instance is a step of the outbox, and so is the reply. Where this process
// alone writes to the log, the runner goes on with the instance in the commit at hand, as
// far as it comes: see AtOnce of [outbox.Runner]. It makes sagas more than twice as fast and
// changes nothing else that an instance may rely on: each Do gets the stored data, and is
// rolled back and tried anew, with its attempts counted, when it fails. There is no order
// between what different instances do to a stream, except for steps whose Policy is Ordered.
//
// # Where things are
//
// Status, Await and Instances know the data's type. [Show], [List], [History] and
// [Trace] need no definition, and neither does who sends [Cancel], [Retry], [Skip] and
// [Fork]. [Reactions] start and signal sagas when events happen; Begin, a Signal and the
// others are steps of the outbox, so that an inbox can make them of messages.
//
// # What is stored
//
// An instance is the system stream $saga-NAME/ID. Each of its events is a decision and
// says what was sent because of it, so that the stream alone tells where the instance
// stands. Types: $saga.started, done, refused, stopping, stopped, undone, parked, retried,
// reverted, signal, spread, recalled, child, migrated, forked, noted. Members, where they
// say something: v (version), n (number of the execution), of (the one that was undone),
// step, data (of the instance, from here on), undoable, unsure, error, why, to, by, reason,
// what, name, dedup, take (a signal's data), late, i, ok, count, cursor, more (of children),
// chain, parent, fork, deadline, steps (new names), back (it goes back because of), via
// (branches), next (the execution that was sent), parked, end; where the state changes, was
// and is (no was: the instance was not there). Numbers of steps of the outbox (deadline,
// next.sent, next.timer) are places in the event's own transaction: the last two bytes of
// their ids. A change without next.sent was done in the same transaction.
//
// Steps of the outbox: $saga/NAME/STEP/do and /undo {id, n, of, v, data} for the stream of
// a step, $saga/NAME/stop {id, n, step} for the same, and for the instance's own stream
// $saga/NAME/ with begin, reply, timer, signal, child, fan, recall, cancel, retry, skip,
// fork. Calls have the target $call-NAME/ID unless On says another. A signal with a Dedup
// has the tag $signal/HASH.
package saga
