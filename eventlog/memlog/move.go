package memlog

import (
	"context"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// shared is a handle beside which there may be others.
type shared struct{ *handle }

// Move is Write of a w that may stand further back; see driver.Mover.
func (h shared) Move(ctx context.Context, w driver.Write) ([]driver.Moved, error) {
	if err := h.err(ctx); err != nil {
		return nil, err
	}
	if err := w.Validate(); err != nil {
		return nil, err
	}
	if err := seal.Check(&w); err != nil {
		return nil, err
	}
	w = clone(w)
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.closed {
		return nil, driver.ErrClosed
	}
	passed := make([][]driver.Commit, len(w.Batches))
	for i := range w.Batches {
		var err error
		if passed[i], err = h.store.passes(&w.Batches[i], w.Latest); err != nil {
			return nil, err
		}
	}
	moved := seal.Move(w.Batches, passed)
	if err := h.store.write(w); err != nil {
		return nil, err
	}
	return moved, nil
}

// passes returns the commits that a batch passes, or refuses it.
func (s *Store) passes(b *driver.Batch, latest int64) ([]driver.Commit, error) {
	sh := s.shards[b.Shard]
	tail := sh.tail()
	refusal := &driver.TailError{Shard: b.Shard, Tail: tail}
	if b.First > tail+1 {
		return nil, refusal
	}
	if b.First == tail+1 {
		return nil, nil
	}
	n := int(tail + 1 - b.First)
	if n > len(sh.last) {
		return nil, refusal
	}
	passed := sh.last[len(sh.last)-n:]
	for i := range passed {
		c := &passed[i]
		if !seal.Passable(c.Time, latest) || slices.ContainsFunc(c.Keys, func(k driver.Key) bool { return slices.Contains(b.Unless, k.Name) }) {
			return nil, refusal
		}
	}
	return slices.Clone(passed), nil
}

// maxLast is how many commits of a shard may be passed.
const maxLast = 10_000

// remember keeps what a commit has beside its data.
func (s *shard) remember(c driver.Commit) {
	c.Data, c.Keys = nil, slices.Clone(c.Keys) // the caller's again
	for i := range c.Keys {
		c.Keys[i].Name = strings.Clone(c.Keys[i].Name)
	}
	if s.last = append(s.last, c); len(s.last) == 2*maxLast {
		s.last = slices.Delete(s.last, 0, maxLast)
	}
}
