// Package dsfake is Google Cloud Datastore (Firestore in Datastore mode) in
// process, for tests: a gRPC server of its API in front of a store in memory,
// which the real client library talks to.
//
// It models the documented service, not one of its emulators: serializable
// transactions with optimistic or pessimistic concurrency, no read-your-writes,
// several mutations outside of a transaction that are not atomic, limits with
// their codes, built-in indexes only (a query for which an index would have to be
// deployed is FailedPrecondition). Where the emulators differ from it or from one
// another is a table in its tests, with the reason.
//
// [Faults] refuse, delay and lose calls, [Server.Down] takes the server away, and
// [Counts] says what the calls would have been billed as.
//
// Time is package time's, so a transaction expires and a lock times out at once in
// a testing/synctest bubble. The whole of it, client included, works inside one if
// server and client are made and closed there.
//
// Not there, and Unimplemented: property transforms and masks, base versions, reads at
// a time, GQL, OR, IN and != filters, distinct, vector search, statistics kinds.
package dsfake
