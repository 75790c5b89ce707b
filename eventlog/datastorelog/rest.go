package datastorelog

import "sync"

// A rest is what is still to be done when those who caused it have their answer:
// transactions are given up. Some come from an Update that outlives the log, which
// a WaitGroup alone would not bear while somebody waits for it.
type rest struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// do does it, unless the rest is closed.
func (r *rest) do(work func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.work.Go(work)
	}
}

// close waits for all that was begun, and lets nothing more begin.
func (r *rest) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.work.Wait()
}
