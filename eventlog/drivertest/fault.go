package drivertest

import (
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// ErrInjected is in the chain of every error that a [Faulty] makes up, unless
// the Fault brings an error of its own.
var ErrInjected = errors.New("injected fault")

// A Kind is what goes wrong. One that does not suit the method of the call does
// nothing.
type Kind uint8

const (
	None  Kind = iota
	Fail       // any call: the store does not get it, the answer is Err. An iteration yields N items first.
	Lose       // Write, Move: the store does it, the answer is lost: ErrUnknown, also where the store refused.
	Drop       // Write, Move: the store never gets it, the answer is ErrUnknown.
	Late       // Write: the answer is ErrUnknown at once; the store gets it before the N-th later call, or from Deliver.
	Hide       // Watch: keeps the heads to itself.
	Ahead      // Watch: each head is followed by a false one, N revisions further. A store must not do that; a doorbell may.
	kinds int  = iota
)

func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Fail:
		return "fail"
	case Lose:
		return "lose"
	case Drop:
		return "drop"
	case Late:
		return "late"
	case Hide:
		return "hide"
	case Ahead:
		return "ahead"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Fault is what a Plan wants of one call. The zero Fault lets it through.
type Fault struct {
	Kind Kind
	// Err is the answer of Fail, nil: ErrInjected. Unless it wraps
	// driver.ErrUnknown it says that this call wrote nothing; an earlier call
	// with the same Write may still arrive.
	Err error
	// N: see the kinds. For Late 0 is "only from Deliver".
	N int
	// Before holds the call back until it is closed; nothing has reached the
	// store by then. When ctx ends first the call returns ctx's error, and
	// nothing was or will be written.
	Before <-chan struct{}
	// After holds back the answer of a Write, a Move or a Tail, but not that of Fail,
	// until it is closed. When ctx ends first a Write returns ErrUnknown, a Tail
	// ctx's error.
	After <-chan struct{}
}

func (f Fault) err() error {
	if f.Err != nil {
		return f.Err
	}
	return ErrInjected
}

func unknown(kind Kind) error {
	return fmt.Errorf("%w: %w: %s", driver.ErrUnknown, ErrInjected, kind)
}

// A Call is what a Plan sees of a call.
type Call struct {
	Method string // "Write", "Move", "Tail", "Read", "Find", "Keys", "Cells", "Watch"
	N      int    // the how manieth call of this method: 1, 2, 3 …
	Total  int    // the how manieth call of all
	Shard  int    // of Tail, Read, Find and Keys
	Key    string // of Find; the prefix of Keys; the start of Cells
	Write  *driver.Write
}

// A Plan decides what goes wrong in a call. It is called by one goroutine at a
// time, when the call is made (an iteration is a call each time it is ranged
// over), so it may keep counts of its own; it must not call the Faulty. nil is
// a plan without faults.
type Plan func(Call) Fault

// Nth is the plan in which the n-th call of a method has the fault, and all
// others none.
func Nth(method string, n int, f Fault) Plan {
	return func(c Call) Fault {
		if c.Method == method && c.N == n {
			return f
		}
		return Fault{}
	}
}
