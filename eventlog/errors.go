package eventlog

import (
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// The errors on which callers branch. An error that wraps ErrUnknown says that
// the outcome is not known; every other error leaves nothing behind.
var (
	// ErrConflict: the expectation of an append did not hold, or an Update lost
	// its race as often as Options.Attempts allows.
	ErrConflict = errors.New("conflict")
	// ErrUnknown: the caller's ctx ended, or the log was closed, while its write
	// was queued or in flight: it may have happened, or still happen. Repeat it
	// with an id ([AppendOptions].ID, [Tx.Once]) to find out.
	ErrUnknown = driver.ErrUnknown
	// ErrIDReused: an append repeats an id with other content.
	ErrIDReused = errors.New("id reused with other content")
	// ErrUnknownType: no fold, handler or codec knows the type of an event.
	ErrUnknownType = errors.New("unknown event type")
	// ErrTooLarge: a limit is exceeded; the error says which and by how much.
	ErrTooLarge = driver.ErrTooLarge
	// ErrName: a stream, tag, type or id is not a valid name, or a text of Meta or
	// a codec's name is not UTF-8.
	ErrName = errors.New("invalid name")
	// ErrClock: a time stamp would lie further ahead of the clock than
	// Options.MaxSkew.
	ErrClock = errors.New("clock")
	// ErrDiskFull: the store has no room for writes; reads go on.
	ErrDiskFull = driver.ErrDiskFull
	// ErrUnavailable: the store failed, or cannot be reached; nothing is wrong with
	// the call, which may be repeated.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrCorrupt: stored bytes are not what was written; the error names shard
	// and revision.
	ErrCorrupt = driver.ErrCorrupt
	// ErrClosed: the log was closed.
	ErrClosed = driver.ErrClosed
	// ErrReadOnly: a View tried to write.
	ErrReadOnly = errors.New("read-only transaction")
	// ErrFormat: the log was made with other options or by a newer version.
	ErrFormat = errors.New("incompatible log")
)

// A VersionError says that a stream was not at the version that an append
// expected. It wraps ErrConflict.
type VersionError struct {
	Stream     string
	Want, Have uint64
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("stream %s is at version %d, not %d: conflict", e.Stream, e.Have, e.Want)
}

func (e *VersionError) Unwrap() error { return ErrConflict }
