// Package remotelog lets several processes work on one log: those of a machine on
// one directory, and, over TCP, those of other machines on a log that one of them
// serves. It speaks a protocol of its own over an upgraded HTTP connection and
// needs no server beside the processes themselves.
//
// [Open] shares a directory. Who comes first owns it, as pebblelog does, and lets
// the others in through a socket inside of it that only this user may use:
//
//	d, err := remotelog.Open(ctx, "data/log", nil)
//	...
//	log, err := eventlog.Open(ctx, d, nil)
//
// When the owner goes away, by Close or by SIGKILL, another one takes over within
// two seconds, and nobody above a [Log] notices: iterations and watches go on,
// writes that had reached nobody are sent to the next owner, and those whose
// answer was lost are driver.ErrUnknown, which eventlog resolves. What was
// acknowledged is neither lost nor done twice.
//
// [NewHandler] serves any driver.Log over HTTP, and [Dial] reaches it. On TCP a
// token is needed beyond the own machine, and should go over TLS.
//
// Who serves the log puts the writes of several processes one behind the other,
// also those that do not know of each other, as long as they are about different
// streams, ids and tags ([Log.Move]). Those that conflict take turns; a refusal
// brings the commits that its writer did not know. So each has its share.
//
// A Log is never exclusive (driver.Log.Exclusive), also while nobody else is
// there: readers in time order wait for eventlog's MaxSkew, sagas do not go on
// at once unless that is asked for, and a runner that was killed keeps its
// leases until they run out. A program that is alone for sure opens the directory
// with pebblelog; it and those that share refuse each other by name.
//
// Whoever may write in the directory is trusted. Where everybody may, nobody is
// let in.
package remotelog
