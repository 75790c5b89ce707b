// Package emulator starts the emulators of the Google Cloud SDK for tests.
//
// A test asks a [Kind] for a host and gets the one process of that kind that its
// test binary shares; it starts with the first who asks and ends with the binary,
// however that ends: a shell beside the emulator holds the read end of a pipe and
// kills its process group when the pipe closes. A test that wants to kill and
// restart a server starts its own.
//
// An emulator that is missing skips the test and says so in one loud line a test
// binary; with EMULATORS=require it fails the test. With the race detector no emulator is
// used, which is said as loudly, but in soaks (ROLLFORWARD_SOAK). They come with the Google
// Cloud SDK (its root is where the gcloud on PATH leads to) and run on the java
// on PATH.
//
// DATASTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST are not read: nothing can tell
// the kind of a server behind them, tests depend on it, and other people's data
// slows some of them down. [Options] makes a client talk to the host it is given
// even where those variables are set.
package emulator
