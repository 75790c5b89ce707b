// Package pebblelog keeps an event log in one directory of the local disk, with
// no server: the embedded default of the eventlog package. It is built on the
// LSM engine Pebble.
//
//	d, err := pebblelog.Open("data/log", nil)
//	if err != nil {
//		return err
//	}
//	log, err := eventlog.Open(ctx, d, nil)
//
// # Guarantees
//
//   - A write that was acknowledged survives the loss of power: the write-ahead
//     log is synced before the answer. Writes that arrive together share one sync.
//   - No reader sees what is not durable. The engine shows a batch before its
//     sync; every read here is bounded by what was synced.
//   - A failed sync is never retried. It freezes the directory: reads go on, every
//     later Write fails with a [FailedError], and a new Open recovers.
//   - A flipped byte in a stored block is found by its checksum when it is read,
//     and reported as an error that wraps driver.ErrCorrupt. (In the last record of
//     the write-ahead log it cannot be told from a write that power cut short.)
//
// # Operation
//
// One process at a time holds a directory; a second one gets a [HeldError] that
// names the first. Writes are refused with driver.ErrDiskFull while less than
// Options.Reserve bytes are free, before the engine runs into a full disk, and
// resume by themselves. [Log.Backup] makes a consistent copy while writes go on.
package pebblelog
