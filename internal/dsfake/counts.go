package dsfake

import (
	"maps"
	"sync"
)

// Counts is what was asked of the server, and what it would have been billed as.
type Counts struct {
	Calls map[string]int64 // requests by method, refused ones included

	// EntityReads counts each key of a lookup, found or not; each entity that a query
	// returns or skips, and one if there is none; one for a keys-only or projection
	// query as a whole; one for each thousand index entries of an aggregation.
	EntityReads int64

	// SmallOperations counts the results of keys-only and projection queries, and
	// allocated ids.
	SmallOperations int64

	EntityWrites  int64 // inserts, updates and upserts that were applied
	EntityDeletes int64 // deletes that were applied, of missing entities too
	IndexEntries  int64 // indexed values that writes added or removed
}

type counts struct {
	mu    sync.Mutex
	calls int64
	c     Counts
}

func (c *counts) call(method string) (number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c.Calls == nil {
		c.c.Calls = map[string]int64{}
	}
	c.c.Calls[method]++
	c.calls++
	return c.calls
}

func (c *counts) add(d Counts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.c.EntityReads += d.EntityReads
	c.c.SmallOperations += d.SmallOperations
	c.c.EntityWrites += d.EntityWrites
	c.c.EntityDeletes += d.EntityDeletes
	c.c.IndexEntries += d.IndexEntries
}

// Counts returns the sums since the start.
func (s *Server) Counts() Counts {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	c := s.counts.c
	c.Calls = maps.Clone(c.Calls)
	return c
}

// Sub returns what was counted since earlier.
func (c Counts) Sub(earlier Counts) Counts {
	d := Counts{
		Calls:           map[string]int64{},
		EntityReads:     c.EntityReads - earlier.EntityReads,
		SmallOperations: c.SmallOperations - earlier.SmallOperations,
		EntityWrites:    c.EntityWrites - earlier.EntityWrites,
		EntityDeletes:   c.EntityDeletes - earlier.EntityDeletes,
		IndexEntries:    c.IndexEntries - earlier.IndexEntries,
	}
	for method, n := range c.Calls {
		if n -= earlier.Calls[method]; n != 0 {
			d.Calls[method] = n
		}
	}
	return d
}
