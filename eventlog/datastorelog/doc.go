// Package datastorelog keeps a log in Google Cloud Datastore (Firestore in Datastore
// mode): many processes on many machines write it, with no index to deploy.
//
//	store, err := datastorelog.Open(ctx, "my-project", nil)
//	…
//	log, err := eventlog.Open(ctx, store, nil)
//
// A group of commits of one shard is one entity, a block, which is inserted and
// never changed. The key of a block is its number, so of all who want to be next
// exactly one wins; the others look at what came and try behind it. An append is
// one call and one entity, as is a group of hundreds.
//
// [Mutate] and [Update] write entities of your own together with events.
//
// [Options] name database, namespace (a tenant) and kinds (a log). With
// $DATASTORE_EMULATOR_HOST the log is on an emulator. [Open] reads
// $GOOGLE_CLOUD_PROJECT, [ParseURL] URLs of the form datastore://PROJECT/DATABASE?namespace=….
//
// What it does not do: it does not hear of other processes' writes, so followers
// poll or are woken by a notifier; it does not wait for replication beyond what the
// service acknowledges; it cannot tell a database that was emptied under it.
// A process that dies in a transaction leaves locks, in a database with pessimistic
// concurrency, until the service takes the transaction for dead.
//
// docs/design.md says why it is as it is, docs/format.md what is stored, docs/cost.md
// what that costs.
package datastorelog
