package pebblelog

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// watchers are told which shards have moved. Nobody watching costs one load.
type watchers struct {
	count atomic.Int32

	mu  sync.Mutex
	all map[*watcher]struct{}
}

// A watcher merges movements until its iterator takes them.
type watcher struct {
	mu     sync.Mutex
	moved  map[int]driver.Revision
	signal chan struct{} // one token while something has moved
}

func (w *watcher) add(id int, rev driver.Revision) {
	w.mu.Lock()
	w.moved[id] = max(rev, w.moved[id])
	w.mu.Unlock()
}

func (w *watcher) notify() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *watcher) take() map[int]driver.Revision {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.moved
	w.moved = map[int]driver.Revision{}
	return m
}

// moved tells every watcher the heads that have become durable.
func (ws *watchers) moved(heads []*shard) {
	if ws.count.Load() == 0 || len(heads) == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		for _, s := range heads {
			w.add(s.id, s.next)
		}
		w.notify()
	}
}

func (ws *watchers) join(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = map[*watcher]struct{}{}
	}
	ws.all[w] = struct{}{}
	ws.count.Add(1)
}

func (ws *watchers) leave(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, ok := ws.all[w]; ok {
		delete(ws.all, w)
		ws.count.Add(-1)
	}
}

// close ends every watcher.
func (ws *watchers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		close(w.signal)
	}
	ws.count.Store(0)
	ws.all = nil
}

// Watch yields the heads of all shards as they are when it begins, and then
// every head that moves, after the movement is durable, until ctx is done. Heads
// that move while the caller is busy are merged per shard.
func (l *Log) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return func(yield func(driver.Head, error) bool) {
		w := &watcher{moved: map[int]driver.Revision{}, signal: make(chan struct{}, 1)}
		if err := l.watch(w); err != nil {
			yield(driver.Head{}, fmt.Errorf("pebblelog: %w", err))
			return
		}
		defer l.watchers.leave(w)
		for {
			for id, rev := range w.take() {
				if !yield(driver.Head{Shard: id, Revision: rev}, nil) {
					return
				}
			}
			select {
			case _, ok := <-w.signal:
				if !ok {
					yield(driver.Head{}, fmt.Errorf("pebblelog: %s: %w", l.dir, driver.ErrClosed))
					return
				}
			case <-ctx.Done():
				yield(driver.Head{}, fmt.Errorf("pebblelog: %w", ctx.Err()))
				return
			}
		}
	}
}

// watch registers w and gives it the present heads: first the one, then the
// other, so that none is missed.
func (l *Log) watch(w *watcher) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave()
	l.watchers.join(w)
	for id, s := range *l.heads.table.Load() {
		if rev := s.durable.Load(); rev > 0 {
			w.add(id, driver.Revision(rev))
		}
	}
	return nil
}
