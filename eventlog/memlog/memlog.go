// Package memlog keeps a log in memory: the driver for tests.
//
// [Open] gives a store of one's own. A [Store] is shared: each of its handles
// stands for a process, and what one of them acknowledged all of them see. A
// store lives as long as somebody refers to it; closing a handle leaves it.
//
// It keeps all promises of package driver, with "durable" read as "in memory",
// and is strict with its caller: a Write that breaks the rules of [driver.Key]
// about positions is refused, where other drivers trust the writer.
package memlog

import "github.com/rollforward/rollforward/eventlog/driver"

// Open returns the only handle of a new, empty store.
func Open() driver.Log { return newHandle(NewStore(), true) }

// NewStore returns an empty store without handles.
func NewStore() *Store {
	return &Store{shards: make(map[int]*shard), watchers: make(map[*watcher]struct{})}
}

// Open returns another handle of the store. It is not exclusive: any number
// of them may be open at a time. It is a [driver.Mover].
func (s *Store) Open() driver.Log { return shared{newHandle(s, false)} }

func newHandle(s *Store, exclusive bool) *handle {
	return &handle{store: s, exclusive: exclusive, done: make(chan struct{})}
}
