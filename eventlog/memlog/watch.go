package memlog

import (
	"context"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// watcher collects heads for one Watch; later ones of a shard replace earlier
// ones. Its fields are guarded by the store's lock.
type watcher struct {
	heads map[int]driver.Revision
	ring  chan struct{} // holds a value when heads is not empty
}

func (w *watcher) add(shard int, rev driver.Revision) {
	w.heads[shard] = rev
	select {
	case w.ring <- struct{}{}:
	default:
	}
}

// announce tells the watchers what moved. The caller holds the lock.
func (s *Store) announce(batches []driver.Batch) {
	for w := range s.watchers {
		for _, b := range batches {
			if n := len(b.Commits); n > 0 {
				w.add(b.Shard, b.Commits[n-1].Revision)
			}
		}
	}
}

// watch registers a watcher that knows all present heads, so that nothing is
// missed between the caller's first look and its first head.
func (s *Store) watch() *watcher {
	w := &watcher{heads: make(map[int]driver.Revision), ring: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, sh := range s.shards {
		w.add(i, sh.tail())
	}
	s.watchers[w] = struct{}{}
	return w
}

func (s *Store) unwatch(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watchers, w)
}

func (s *Store) take(w *watcher) map[int]driver.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	heads := w.heads
	w.heads = make(map[int]driver.Revision)
	return heads
}

// Watch yields the present heads first, then those that move, whichever handle
// moved them.
func (h *handle) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return func(yield func(driver.Head, error) bool) {
		w := h.store.watch()
		defer h.store.unwatch(w)
		for {
			if err := h.err(ctx); err != nil {
				yield(driver.Head{}, err)
				return
			}
			select {
			case <-w.ring:
			case <-ctx.Done():
			case <-h.done:
			}
			for shard, rev := range h.store.take(w) {
				if err := h.err(ctx); err != nil {
					yield(driver.Head{}, err)
					return
				}
				if !yield(driver.Head{Shard: shard, Revision: rev}, nil) {
					return
				}
			}
		}
	}
}
