package remotelog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
)

// A Log is a log that another process has, or that is shared with others. It
// implements driver.Log.
type Log struct {
	name    string // for errors
	dir     string // when Open has opened it
	opts    Options
	connect func(ctx context.Context) (place, error)
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup // searches, and places being left

	mu      sync.Mutex
	at      place         // nil: nowhere
	search  chan struct{} // closed when a search has found a place; nil: none is under way
	trouble error         // why the last attempt of a search failed
	closed  bool
	writes  int           // under way
	idle    chan struct{} // closed when none is under way any more, after Close
}

var _ driver.Mover = (*Log)(nil)

// A place is where a log is for the time being: a connection, or in this process.
// Its calls end with errGone when it is lost and nothing was done.
type place interface {
	write(ctx context.Context, w *driver.Write) error
	move(ctx context.Context, w *driver.Write) ([]driver.Moved, error)
	tail(ctx context.Context, shard int) (driver.Revision, error)
	read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error]
	find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error]
	keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error]
	cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error]
	watch(ctx context.Context) iter.Seq2[driver.Head, error]
	maintain(ctx context.Context, k kind, to string) ([]byte, error)
	gone() <-chan struct{}
	close() error
}

func newLog(name string, o Options, connect func(context.Context) (place, error)) *Log {
	l := &Log{name: name, opts: o, connect: connect}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Write does all of w or nothing; see driver.Log. When the answer is lost with the
// connection, or ctx ends before it, the error wraps driver.ErrUnknown.
func (l *Log) Write(ctx context.Context, w driver.Write) error {
	return l.send(ctx, &w, func(p place) error { return p.write(ctx, &w) })
}

// Move is Write of a w that may stand further back; see driver.Mover. It is not supported
// where who has the log serves a store that cannot do it.
func (l *Log) Move(ctx context.Context, w driver.Write) (moved []driver.Moved, err error) {
	err = l.send(ctx, &w, func(p place) (err error) {
		moved, err = p.move(ctx, &w)
		return err
	})
	return moved, err
}

func (l *Log) send(ctx context.Context, w *driver.Write, to func(place) error) error {
	if err := l.enter(); err != nil {
		return wrap(err)
	}
	defer l.leave()
	if err := w.Validate(); err != nil {
		return wrap(err)
	}
	if l.opts.ReadOnly && changes(w) {
		return wrap(ErrReadOnly)
	}
	return wrap(l.again(ctx, to))
}

// Tail returns the last revision of a shard, 0 for an empty one.
func (l *Log) Tail(ctx context.Context, shard int) (rev driver.Revision, err error) {
	err = l.again(ctx, func(p place) error {
		rev, err = p.tail(ctx, shard)
		return err
	})
	return rev, wrap(err)
}

// Exclusive reports false: other processes may write.
func (l *Log) Exclusive() bool { return false }

// Wide reports true: who owns the directory writes all shards with one sync, and a
// turn is for all of them.
func (l *Log) Wide() bool { return true }

// enter begins a Write, which Close waits for; leave ends it.
func (l *Log) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.closedError()
	}
	l.writes++
	return nil
}

func (l *Log) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes--; l.writes == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

func (l *Log) closedError() error { return fmt.Errorf("%s: %w", l.name, driver.ErrClosed) }

const closeWithin = 10 * time.Second

// Close waits for the Writes under way and leaves the log. Who owns a directory
// answers first what others have asked for, and then gives it back.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		defer l.mu.Unlock()
		return wrap(l.closedError())
	}
	l.closed = true
	idle := make(chan struct{})
	if l.writes == 0 {
		close(idle)
	} else {
		l.idle = idle
	}
	l.mu.Unlock()
	l.cancel()
	timer := time.NewTimer(closeWithin)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	l.mu.Lock()
	at := l.at
	l.at = nil
	l.mu.Unlock()
	var err error
	if at != nil {
		err = at.close()
	}
	l.work.Wait()
	return wrap(err)
}

// again calls f until it reaches somebody.
func (l *Log) again(ctx context.Context, f func(place) error) error {
	for t := l.try(ctx); ; {
		p, err := t.place()
		if err != nil {
			return err
		}
		if err = f(p); !errors.Is(err, errGone) {
			return err
		}
		t.lost(p, err)
	}
}

// A try is a call that goes on at another place when the one that it is at is lost.
type try struct {
	l     *Log
	ctx   context.Context
	since time.Time // it reached nobody
	n     int
	err   error
}

func (l *Log) try(ctx context.Context) *try { return &try{l: l, ctx: ctx} }

// place returns a place, when there is one.
func (t *try) place() (place, error) {
	if t.n > 1 { // what is found is lost at once
		t.l.pause(t.ctx, t.n)
	}
	if t.n > 0 && time.Since(t.since) > t.l.opts.Patience {
		return nil, t.err
	}
	return t.l.place(t.ctx)
}

// lost says that p answers no more.
func (t *try) lost(p place, err error) {
	if t.n++; t.n == 1 {
		t.since = time.Now()
	}
	t.err = err
	t.l.lose(p)
}

// progress says that somebody has answered.
func (t *try) progress() { t.n = 0 }

// pause waits a random part of a time that grows with each attempt.
func (l *Log) pause(ctx context.Context, attempt int) {
	timer := time.NewTimer(time.Millisecond + jitter.N(min(4*time.Millisecond<<min(attempt, 10), 200*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.ctx.Done():
	}
}

// place returns where the log is, and waits for it to be found.
func (l *Log) place(ctx context.Context) (place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var late <-chan time.Time
	for {
		l.mu.Lock()
		if l.closed {
			defer l.mu.Unlock()
			return nil, l.closedError()
		}
		if l.at != nil {
			defer l.mu.Unlock()
			return l.at, nil
		}
		l.look()
		found := l.search
		l.mu.Unlock()
		if late == nil {
			timer := time.NewTimer(l.opts.Patience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-found:
		case <-late:
			l.mu.Lock()
			defer l.mu.Unlock()
			return nil, fmt.Errorf("%s: nobody has served the log for %v: %w", l.name, l.opts.Patience, cmp.Or(l.trouble, errGone))
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.ctx.Done():
		}
	}
}

// settle makes p the place of the log, and notices when it is lost.
func (l *Log) settle(p place) {
	l.at, l.trouble = p, nil
	l.work.Go(func() {
		select {
		case <-p.gone():
			l.lose(p)
		case <-l.ctx.Done():
		}
	})
}

// lose leaves a place that is lost, and looks for another one.
func (l *Log) lose(p place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != p || l.closed { // Close closes it
		return
	}
	l.at = nil
	left := make(chan struct{})
	l.work.Go(func() {
		defer close(left)
		if err := p.close(); err != nil {
			l.opts.Logger.Warn("remotelog: leaving the log", "log", l.name, "err", err)
		}
	})
	l.lookAfter(left)
}

// look starts a search, where none is under way. The caller holds the lock.
func (l *Log) look() { l.lookAfter(nil) }

func (l *Log) lookAfter(left <-chan struct{}) {
	if l.search != nil || l.closed {
		return
	}
	found := make(chan struct{})
	l.search = found
	l.work.Go(func() {
		if left != nil {
			<-left
		}
		l.seek(found)
	})
}

// seek looks for a place until there is one, or the log is closed.
func (l *Log) seek(found chan struct{}) {
	for n := 0; ; n++ {
		p, err := l.connect(l.ctx)
		l.mu.Lock()
		l.trouble = err
		if err == nil && l.closed {
			l.mu.Unlock()
			_ = p.close() // nobody has used it
			l.mu.Lock()
			err = l.ctx.Err()
		}
		if err == nil {
			l.settle(p)
		}
		if err == nil || l.closed {
			l.search = nil
			close(found)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.pause(context.Background(), n)
	}
}
