package outbox

import (
	"errors"

	"github.com/rollforward/rollforward/eventlog"
)

// Park marks an error as one of this program: its handler knows the step's type,
// but a newer program is to do the step. It is left to that one as if no handler
// here knew the type: nothing is written, no attempt counts, and the step is
// parked, with the text of err as the reason ([Info].Parked). Other steps overtake
// it, also those of its target whose Policy is Ordered. It is tried again by
// whatever runner comes to hold its shard, and before that by others that know
// its type, which look about once a lease time. Park goes before [Abort].
// Park(nil) is nil.
//
// A handler must not Park what it could do later, or what no program will ever do.
func Park(err error) error {
	if err == nil {
		return nil
	}
	return &parkError{err}
}

// parks reports whether err wraps what Park returned.
func parks(err error) bool {
	var p *parkError
	return errors.As(err, &p)
}

type parkError struct{ err error }

func (e *parkError) Error() string { return e.err.Error() }
func (e *parkError) Unwrap() error { return e.err }

// maxReason bounds the text that a cell carries.
const maxReason = 512

// park leaves an item to a runner that can do it. why is errNoHandler when
// nobody here knows its type.
func (s *source) park(it *item, why error) {
	switch {
	case it.err != nil:
		why = it.err
		s.Logger.Error("a step cannot be read; it is parked", "shard", s.shard, "step", it.id, "err", why)
	case errors.Is(why, errNoHandler):
		why = errors.New("no runner knows the type " + it.typ)
		s.once(it.typ, "no handler knows a step type; its steps are parked", it, nil)
	default:
		s.once("parks "+it.typ, "a handler leaves a step to another program; it is parked", it, why)
	}
	it.reason = shorten(why.Error(), maxReason)
	s.release(it)
	s.setAside(it, parkedCells)
	s.forget(it)
}

// stranger takes a step of unknown type that waited in a cell, to park it: it may
// have been cancelled meanwhile, and then nobody is to look for it.
var stranger = &Handler{Do: func(*eventlog.Tx, Raw) error { return Park(errNoHandler) }}

var errNoHandler = errors.New("no handler")

// once warns of a step, and not of others like it.
func (e *engine) once(like, what string, it *item, err error) {
	if _, known := e.warned.LoadOrStore(like, true); known {
		return
	}
	args := []any{"type", it.typ, "step", it.id, "target", it.target}
	if err != nil {
		args = append(args, "err", err)
	}
	e.Logger.Warn(what, args...)
}
