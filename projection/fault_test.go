package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

	"github.com/rollforward/rollforward/projection"
)

// A fault is what a faulty sink does to a call of Apply.
type fault int

const (
	none     fault = iota
	refuse         // nothing happens, an error
	rollback       // the effects run, then the transaction is rolled back
	lose           // the transaction is committed, its answer is lost
	die            // nothing happens, now nor later: the process is dead
	dieLate        // the same, after the transaction was committed
)

var errFault = errors.New("injected")

// A faulty is a sink that does wrong by a plan, which is asked at each Apply.
type faulty struct {
	projection.Sink[*sql.Tx]
	plan func() fault
	end  func() // ends the process's context
	dead atomic.Bool
}

func newFaulty(s projection.Sink[*sql.Tx], plan func() fault, end func()) *faulty {
	return &faulty{Sink: s, plan: plan, end: end}
}

func (f *faulty) kill() {
	f.dead.Store(true)
	f.end()
}

func (f *faulty) State(ctx context.Context, name string) (projection.State, error) {
	if f.dead.Load() {
		return projection.State{}, errFault
	}
	return f.Sink.State(ctx, name)
}

func (f *faulty) Reset(ctx context.Context, r projection.Reset, fn func(tx *sql.Tx) error) error {
	if f.dead.Load() {
		return errFault
	}
	return f.Sink.Reset(ctx, r, fn)
}

func (f *faulty) Note(ctx context.Context, name string, s *projection.Stop) error {
	if f.dead.Load() {
		return errFault
	}
	return f.Sink.Note(ctx, name, s)
}

func (f *faulty) Apply(ctx context.Context, b projection.Batch, fn func(tx *sql.Tx) error) error {
	if f.dead.Load() {
		return errFault
	}
	switch f.plan() {
	case refuse:
		return errFault
	case rollback:
		return f.Sink.Apply(ctx, b, func(tx *sql.Tx) error { return errors.Join(fn(tx), errFault) })
	case lose:
		return errors.Join(f.Sink.Apply(ctx, b, fn), errFault)
	case die:
		f.kill()
		return errFault
	case dieLate:
		err := f.Sink.Apply(ctx, b, fn)
		f.kill()
		return errors.Join(err, errFault)
	}
	return f.Sink.Apply(ctx, b, fn)
}
