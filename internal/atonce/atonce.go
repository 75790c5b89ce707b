// Package atonce lets a handler of the outbox do what follows from its step at
// once, in its own commit, instead of enqueueing a further step for it.
package atonce

import "github.com/rollforward/rollforward/eventlog"

// A Batch is a commit in which handlers run.
type Batch interface {
	// Take reports whether the handler that runs may do at once what a step of a type
	// would do to a stream: the runner knows the type, there is room for it in the commit,
	// and no other batch of the runner is at work on the stream. Where it may not, a step
	// has to be enqueued: nobody may rely on Take.
	Take(typ, stream string) bool
	// For runs fn, which changes a stream that was taken as a step of its own would:
	// what fn enqueues is stored in that stream's shard.
	For(stream string, fn func() error) error
	// Did counts a step of a type that was done at once.
	Did(typ string)
	// Runs reports whether tx is the batch's.
	Runs(tx *eventlog.Tx) bool
}

// Key is that of a Batch in the context of its transaction.
type Key struct{}

// Of returns the Batch whose transaction tx is, nil when tx is somebody else's.
func Of(tx *eventlog.Tx) Batch {
	if b, ok := tx.Context().Value(Key{}).(Batch); ok && b.Runs(tx) {
		return b
	}
	return nil
}
