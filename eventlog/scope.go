package eventlog

import (
	"fmt"
	"slices"
)

// Scope is a Savepoint with metadata of its own: inside fn, Meta is that of the
// scope, which begins as a copy of meta, and the events that fn appends have it as
// it stands when fn returns. Afterwards Meta is the outer one again, as it was.
// What fn records otherwise, idempotency ids and rows of tables, has no metadata.
//
// Scopes nest; events belong to the innermost. It is how one transaction does
// work of several chains: each event has its own correlation, by which it is
// found.
//
// When Scope returns an error, nothing that fn wrote stays. It is that of fn, or
// wraps ErrTooLarge when the events with their metadata have no room beside what
// the transaction writes already, or ErrName when the metadata is not UTF-8.
func (tx *Tx) Scope(meta Meta, fn func() error) (err error) {
	mark, done := tx.mark(), false
	s := &scope{meta: meta.clone(), outer: tx.nested.scope}
	tx.nested.scope = s
	defer func() {
		tx.nested.scope = s.outer
		if done && err == nil {
			err = tx.leave(s, mark.events)
		}
		if !done || err != nil {
			tx.rollback(mark)
		}
		tx.release()
	}()
	err = fn()
	done = true
	return err
}

// A scope is a part of a transaction that has metadata of its own.
type scope struct {
	meta  Meta
	outer *scope
	place int // in nesting.metas, from 1; 0: no event was appended in it yet
}

// scope returns the innermost that runs, nil for none.
func (tx *Tx) scope() *scope {
	if tx.nested == nil {
		return nil
	}
	return tx.nested.scope
}

// metaPlace returns the number of the metadata that an event gets which is
// appended now. 0 is the transaction's own.
func (tx *Tx) metaPlace() uint16 {
	s := tx.scope()
	if s == nil {
		return 0
	}
	if s.place == 0 {
		tx.nested.metas = append(tx.nested.metas, Meta{})
		s.place = len(tx.nested.metas)
	}
	return uint16(s.place)
}

// forget takes back the places behind n, of this scope and those around it.
func (s *scope) forget(n int) {
	for ; s != nil; s = s.outer {
		if s.place > n {
			s.place = 0
		}
	}
}

// leave keeps the metadata of a scope that began behind so many events.
func (tx *Tx) leave(s *scope, events int) error {
	if s.place == 0 {
		return nil
	}
	if err := s.meta.check(); err != nil {
		return fmt.Errorf("eventlog: scope: %w", err)
	}
	tx.nested.metas[s.place-1] = s.meta.clone()
	var room [4]int
	shards, size := room[:0], s.meta.size()
	for i := events; i < len(tx.events); i++ {
		e := &tx.events[i]
		shard := shardOf(e.stream, len(tx.log.lanes))
		if int(e.meta) != s.place || slices.Contains(shards, shard) {
			continue
		}
		shards = append(shards, shard)
		if err := tx.growBeside(shard, size); err != nil {
			return fmt.Errorf("eventlog: scope: %w", err)
		}
	}
	return nil
}

// scopeMetas returns the metadata of the scopes as they stand now.
func (tx *Tx) scopeMetas() []Meta {
	if tx.nested == nil {
		return nil
	}
	for s := tx.nested.scope; s != nil; s = s.outer {
		if s.place > 0 {
			tx.nested.metas[s.place-1] = s.meta
		}
	}
	return tx.nested.metas
}
