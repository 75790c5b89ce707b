package lease

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Troubles are what keeps shards that are held from going on, and since when. The
// zero Troubles has none.
type Troubles struct {
	mu   sync.Mutex
	list map[int]*failing
}

// Note notes that a shard stands still. It does so since the first Note behind the
// last Well.
func (t *Troubles) Note(shard int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := t.list[shard]; was != nil {
		was.err = err
		return
	}
	if t.list == nil {
		t.list = make(map[int]*failing)
	}
	t.list[shard] = &failing{time.Now(), err}
}

// Well notes that a shard goes on, or is for another to report.
func (t *Troubles) Well(shard int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.list, shard)
}

// Health joins all troubles, and that of k's leases.
func (t *Troubles) Health(k *Keeper) error {
	var list []error
	if since, err := k.Failing(); err != nil {
		list = append(list, fmt.Errorf("no leases since %s: %w", since.UTC().Format(time.RFC3339), err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, shard := range slices.Sorted(maps.Keys(t.list)) {
		f := t.list[shard]
		list = append(list, fmt.Errorf("shard %d stands still since %s: %w", shard, f.since.UTC().Format(time.RFC3339), f.err))
	}
	return errors.Join(list...)
}
