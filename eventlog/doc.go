// Package eventlog is an event log: the place where a program's facts are kept
// and from which everything else is derived.
//
// A log is a fixed number of shards. A shard is a gap-free sequence of commits;
// a commit holds events of one or more streams. [Log.Update] is how one writes:
// its function reads and appends through a [Tx], in any streams of any shards,
// and all of it happens at one moment or not at all. [Log.Append] is the short
// form for one stream, [Log.Read] the one way to read, and a [Model] folds the
// events of a stream into a state.
//
// A stream is named category/id, as account/ada. Its name decides which shard it
// lies in, or, where the name holds a {group} in braces, the group alone:
// account/{ada}/savings and account/{ada}/giro lie in one shard, so a transaction
// over both is as cheap as over one. A group that everything shares is one shard
// that does all the work. Names that start with $ are the library's own.
//
//	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
//		a, err := account.Load(tx, "account/ada")
//		if err != nil {
//			return err
//		}
//		if a.Balance < 10 {
//			return ErrFunds
//		}
//		return tx.Append("account/ada", Posted{Amount: -10})
//	})
//
// What is promised:
//
//   - What was acknowledged is durable, and nobody outside the writing process
//     sees what is not.
//   - Revisions in a shard and versions in a stream have no gaps; no reader
//     passes a hole or sees a commit twice.
//   - An Update is strictly serializable over everything that it read and wrote.
//   - An error that wraps [ErrUnknown] says that the outcome is not known; every
//     other error leaves nothing behind.
//
// An append that needs no place in the order at once can be relaxed
// ([AppendOptions]): it then conflicts with nothing, whoever else appends.
//
// Appends of many callers share one durable write, also those of one stream.
// Where the log is stored is a driver's business: pebblelog on one machine,
// memlog in tests.
package eventlog
