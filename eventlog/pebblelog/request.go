package pebblelog

import (
	"context"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A request is one Write on its way through the committer.
type request struct {
	write *driver.Write
	rows  *pebble.Batch // nil when it only checks
	state atomic.Int32
	wake  chan struct{} // signalled once: answered, or asked to lead
	err   error         // the answer
	index []indexRow    // memory for putIndex
}

// The states of a request.
const (
	queued    int32 = iota
	leading         // its caller has been asked to write the next group
	taken           // in a group
	withdrawn       // its caller has gone; nothing of it is written
)

func (r *request) move(from, to int32) bool { return r.state.CompareAndSwap(from, to) }

// wait returns nil when r is answered or asked to lead, and ctx's error when ctx
// ended before the turn of r had come.
func (r *request) wait(ctx context.Context) error {
	done := ctx.Done()
	if done == nil {
		<-r.wake
		return nil
	}
	select {
	case <-r.wake:
		return nil
	case <-done:
	}
	if r.move(queued, withdrawn) {
		return ctx.Err()
	}
	<-r.wake
	return nil
}

// size is what the request adds to a merged batch.
func (r *request) size() int {
	if r.rows == nil {
		return 0
	}
	return r.rows.Len()
}

// release gives the rows back to the engine's pool.
func (r *request) release() {
	if r.rows != nil {
		r.rows.Close()
		r.rows = nil
	}
}
