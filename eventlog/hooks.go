package eventlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
)

// Hooks observe a log. They are called without locks held, by the goroutine
// that does the work: they must return quickly and must not call the log.
type Hooks struct {
	// Group is called after each durable write.
	Group func(GroupInfo)
	// Conflict is called when an Update's function has to run again.
	Conflict func()
	// Snapshot is called after a snapshot of a model's state was written.
	Snapshot func(model string, bytes int)
	// Loose is called after each durable put of relaxed appends.
	Loose func(LooseInfo)
	// Fold is called after relaxed appends were folded, or found to be folded
	// already.
	Fold func(FoldInfo)
}

// LooseInfo describes one durable put of relaxed appends, which one or more
// callers shared.
type LooseInfo struct {
	Shard    int           //
	Appends  int           // whose callers were answered by it
	Events   int           //
	Bytes    int           // of the cell
	Duration time.Duration // of the store's write
}

// FoldInfo describes one fold of relaxed appends into a shard.
type FoldInfo struct {
	Shard    int
	Cells    int           // that were done with
	Appends  int           // that got their places
	Events   int           // in them
	Repeated int           // appends that folded to nothing, because their id was taken
	Reused   int           // of these, those with other content
	Lag      time.Duration // from the oldest of the appends to its place; 0 without any
	Duration time.Duration // of the whole fold
	More     bool          // there may be more to fold
}

// GroupInfo describes one durable write that one or more callers shared.
type GroupInfo struct {
	Shards   int           // that got commits
	Callers  int           // who were answered by it
	Commits  int           //
	Events   int           //
	Bytes    int           // of the encoded commits
	Duration time.Duration // of the store's write
}

// OnCommit calls f after each durable commit group that this Log wrote, once
// for each shard of it, until remove is called. f must return quickly and must
// not call the log; it is how doorbells are rung.
func (l *Log) OnCommit(f func(head driver.Head)) (remove func()) { return listen(l, l.onCommit, f) }

// OnMove calls f when the store tells that a shard may have commits that this Log
// does not know, of other processes, until remove is called. It is a doorbell like
// OnCommit, and where the store cannot tell, or nobody else writes, it never rings.
func (l *Log) OnMove(f func(head driver.Head)) (remove func()) {
	leave := listen(l, l.onMove, f)
	l.mu.Lock()
	defer l.mu.Unlock()
	release := l.watch()
	return sync.OnceFunc(func() {
		release()
		leave()
	})
}

// heard takes a head that the store tells of.
func (l *Log) heard(h driver.Head) {
	var hear []func(driver.Head)
	l.mu.Lock()
	if l.rouse(h) {
		hear = l.onMove.now()
	}
	l.mu.Unlock()
	for _, f := range hear {
		f(h)
	}
}

// Wake tells the log that a shard reached rev, as another process said. It is a
// doorbell: followers look at once instead of at the next poll, and a wrong or
// lost call does no harm.
func (l *Log) Wake(shard int, rev driver.Revision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rouse(driver.Head{Shard: shard, Revision: rev})
}

// rouse rings the doorbells of a shard's followers, if it is said to be further than
// this process knows. The caller holds l.mu.
func (l *Log) rouse(h driver.Head) bool {
	news := h.Shard >= 0 && h.Shard < len(l.lanes) && h.Revision > l.lanes[h.Shard].tail
	if news {
		l.lanes[h.Shard].rumours++
		l.lanes[h.Shard].moved()
	}
	return news
}

// watch runs the driver's Watch while anyone follows a log that others write
// to, or listens to it. The caller holds l.mu.
func (l *Log) watch() (release func()) {
	if l.driver.Exclusive() || l.closed {
		return func() {}
	}
	if l.watchers++; l.watchers == 1 {
		ctx, cancel := context.WithCancel(l.ctx)
		l.stop = cancel
		l.work.Go(func() {
			for l.hear(ctx) {
				jitter.Pause(ctx, l.opts.Poll) // followers poll meanwhile
			}
		})
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.watchers--; l.watchers == 0 {
			l.stop()
			l.stop = nil
		}
	}
}

// hear takes what the store tells until it ends, and reports whether it may tell more
// later: it failed.
func (l *Log) hear(ctx context.Context) (again bool) {
	for head, err := range l.driver.Watch(ctx) {
		if err != nil {
			return ctx.Err() == nil && !errors.Is(err, ErrClosed)
		}
		l.heard(head)
	}
	return false
}
