package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Log is an open directory. It implements driver.Log.
type Log struct {
	dir     string
	opts    *Options
	log     *slog.Logger
	failure *failure
	guard   *guard
	lock    io.Closer
	db      *pebble.DB
	nudge   nudge

	heads    heads
	commits  committer
	cells    cellView
	watchers watchers
	space    space
	tails    sync.Mutex     // the tails file
	saving   sync.WaitGroup // of it, after flushes

	gate   sync.RWMutex // held shared by calls under way
	closed bool
}

var _ driver.Log = (*Log)(nil)

// enter begins a call that Close waits for; leave ends it.
func (l *Log) enter() error {
	l.gate.RLock()
	if l.closed {
		l.gate.RUnlock()
		return fmt.Errorf("%s: %w", l.dir, driver.ErrClosed)
	}
	return nil
}

func (l *Log) leave() { l.gate.RUnlock() }

// Dir returns the directory.
func (l *Log) Dir() string { return l.dir }

// Exclusive reports true: the directory is held.
func (l *Log) Exclusive() bool { return true }

// Tail returns the last durable revision of a shard, 0 for an empty one.
func (l *Log) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("pebblelog: shard %d: %w", shard, err)
	}
	if err := l.enter(); err != nil {
		return 0, fmt.Errorf("pebblelog: %w", err)
	}
	defer l.leave()
	return l.heads.tail(shard), nil
}

// Close waits for the calls under way and gives the directory back. Every later
// call returns driver.ErrClosed. It returns an error when the engine could not
// be closed in order; what was acknowledged is durable all the same.
func (l *Log) Close() error {
	l.gate.Lock()
	if l.closed {
		l.gate.Unlock()
		return fmt.Errorf("pebblelog: %s: %w", l.dir, driver.ErrClosed)
	}
	l.closed = true
	l.gate.Unlock()

	l.watchers.close()
	l.guard.tables.close()
	if err := l.closeEngine(); err != nil {
		return fmt.Errorf("pebblelog: close %s: %w", l.dir, err)
	}
	return nil
}

// closeEngine closes the engine and then the lock. An engine that ended in a
// fatal error may wait for its own dead goroutines: it is left behind, with the
// lock, for it may still have files open.
func (l *Log) closeEngine() error {
	if l.failure.fatal.Load() {
		return l.failure.get()
	}
	err := errors.Join(l.cells.close(), l.db.Close())
	l.saving.Wait()
	l.saveTails()
	return errors.Join(err, l.lock.Close())
}
