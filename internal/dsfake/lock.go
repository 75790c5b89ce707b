package dsfake

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// resource is what can be locked: an entity by its key, or what a query looked
// through, a kind of a partition or all of the partition, by its index.
type resource struct {
	key  key
	scan indexName
}

// lock locks a resource for a transaction, shared with others.
func (s *Server) lock(t *tx, r resource) {
	holders := s.txs.locks[r]
	if holders == nil {
		holders = map[*tx]bool{}
		s.txs.locks[r] = holders
	}
	if !holders[t] {
		holders[t] = true
		t.locks = append(t.locks, r)
	}
}

func (s *Server) unlock(t *tx) {
	if len(t.locks) == 0 {
		return
	}
	for _, r := range t.locks {
		if delete(s.txs.locks[r], t); len(s.txs.locks[r]) == 0 {
			delete(s.txs.locks, r)
		}
	}
	t.locks = nil
	close(s.txs.released)
	s.txs.released = make(chan struct{})
}

// written are the resources that a write of some keys needs for itself.
func written(writes []write) map[resource]bool {
	rs := map[resource]bool{}
	for _, w := range writes {
		rs[resource{key: w.key}] = true
		rs[resource{scan: indexName{partition: w.key.partition}}] = true
		rs[resource{scan: indexName{partition: w.key.partition, kind: w.kind}}] = true
	}
	return rs
}

// await waits until no other transaction holds a lock on what a commit writes; t is nil
// outside of a transaction. It is called with the server's mutex held, gives it up
// while it waits, and does not care whether the caller is still there.
func (s *Server) await(t *tx, writes []write) error {
	var timeout <-chan time.Time
	rs := written(writes)
	for {
		s.expire()
		wait, held := s.held(t, rs)
		if !held {
			return nil
		}
		if timeout == nil && t != nil {
			timer := time.NewTimer(s.opts.LockTimeout)
			defer timer.Stop()
			timeout = timer.C
		}
		released, expiry := s.txs.released, time.NewTimer(wait)
		s.mu.Unlock()
		var err error
		select {
		case <-released:
		case <-expiry.C:
		case <-timeout:
			err = status.Error(codes.Aborted, "Transaction lock timeout.")
		case <-s.done:
			err = status.Error(codes.Unavailable, "dsfake: server is closed")
		}
		expiry.Stop()
		s.mu.Lock()
		if err != nil {
			if _, held := s.held(t, rs); held {
				return err
			}
		}
	}
}

// held tells whether others hold one of the resources, and how long the first of them
// can do so at most without being used.
func (s *Server) held(t *tx, rs map[resource]bool) (wait time.Duration, held bool) {
	wait = s.opts.LifeTimeout
	for r := range rs {
		for holder := range s.txs.locks[r] {
			if holder != t {
				held = true
				wait = min(wait, time.Until(s.expires(holder)))
			}
		}
	}
	return wait, held
}
