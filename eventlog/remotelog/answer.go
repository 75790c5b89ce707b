package remotelog

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// An outcome says in one byte how a request ended.
type outcome uint8

const (
	wentWell outcome = iota
	wasTail
	wasCell
	wasUnknown
	wasTooLarge
	wasDiskFull
	wasCorrupt
	wasCorruptCommit
	wasReadOnly
	wasGone // the server, or its store, is closing: nothing was done
	wasOther
)

// errGone says that a call reached nobody: nothing was done, and whoever serves
// next may be asked the same.
var errGone = errors.New("nobody serves the log")

// ErrReadOnly refuses a Write through a log that was opened with Options.ReadOnly.
var ErrReadOnly = errors.New("opened read-only")

// sentinels are the errors that say it all.
var sentinels = map[outcome]error{
	wasUnknown: driver.ErrUnknown, wasTooLarge: driver.ErrTooLarge, wasDiskFull: driver.ErrDiskFull,
	wasCorrupt: driver.ErrCorrupt, wasReadOnly: ErrReadOnly, wasGone: errGone,
}

// appendOutcome writes how a request ended.
func appendOutcome(b []byte, err error) []byte {
	var tail *driver.TailError
	var cell *driver.CellError
	var corrupt *driver.CorruptError
	switch {
	case err == nil:
		return append(b, byte(wentWell))
	case errors.Is(err, driver.ErrUnknown):
		return appendText(b, wasUnknown, err)
	case errors.As(err, &tail):
		b = binary.AppendUvarint(append(b, byte(wasTail)), uint64(tail.Shard))
		b = binary.AppendUvarint(b, uint64(tail.Tail))
		return appendFlights(appendBatches(b, tail.News), tail.Ahead)
	case errors.As(err, &cell):
		b = appendBytes(append(b, byte(wasCell)), cell.Key)
		return binary.AppendUvarint(b, cell.Version)
	case errors.As(err, &corrupt):
		b = binary.AppendUvarint(append(b, byte(wasCorruptCommit)), uint64(corrupt.Shard))
		b = binary.AppendUvarint(b, uint64(corrupt.Revision))
		return appendBytes(b, corrupt.Reason)
	case errors.Is(err, driver.ErrClosed), errors.Is(err, context.Canceled):
		return appendText(b, wasGone, err)
	}
	for o, known := range sentinels {
		if errors.Is(err, known) {
			return appendText(b, o, err)
		}
	}
	return appendText(b, wasOther, err)
}

const maxText = 4096

func appendText(b []byte, o outcome, err error) []byte {
	text := err.Error()
	return appendBytes(append(b, byte(o)), text[:min(len(text), maxText)])
}

// outcome takes how a request ended. It returns the error of the request; that of
// the body is in d.
func (d *decoder) outcome() error {
	switch o := outcome(d.byte()); o {
	case wentWell:
		return nil
	case wasTail:
		return &driver.TailError{Shard: d.int(maxShard), Tail: driver.Revision(d.uint()), News: d.batches(), Ahead: d.flights()}
	case wasCell:
		return &driver.CellError{Key: d.string(), Version: d.uint()}
	case wasCorruptCommit:
		return &driver.CorruptError{Shard: d.int(maxShard), Revision: driver.Revision(d.uint()), Reason: d.string()}
	case wasOther:
		return errors.New(d.string())
	default:
		known, ok := sentinels[o]
		if !ok {
			d.fail("unknown outcome")
			return nil
		}
		return told{known, d.string()}
	}
}

// A told error is one of the server's, in its words.
type told struct {
	is   error
	text string
}

func (e told) Error() string { return e.text }
func (e told) Unwrap() error { return e.is }

// wrap says whose error it is, when somebody wants to read it: most are refusals,
// which nobody reads.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	return ours{err}
}

type ours struct{ error }

func (e ours) Error() string { return "remotelog: " + e.error.Error() }
func (e ours) Unwrap() error { return e.error }
