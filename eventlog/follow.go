package eventlog

import (
	"context"
	"fmt"
	"time"
)

// follow yields what is there and then waits for more, until ctx is done.
func (p *plan) follow(ctx context.Context, cursors []*cursor, out *output) error {
	bell, stop := p.log.subscribe(p.shards)
	defer stop()
	for {
		// The order matters: what is not durable when the watermark is taken
		// will be later than it, and what is durable the cursors find.
		watermark := p.log.watermark(p.shards)
		var wait time.Duration
		if p.Stream == "" || !p.log.upToDate(p.Stream, cursors[0]) {
			for _, c := range cursors {
				c.again()
			}
			var err error
			if wait, err = drain(ctx, cursors, watermark, out); err != nil {
				return err
			}
		}
		if err := p.log.await(ctx, bell, wait); err != nil {
			return err
		}
	}
}

// upToDate reports that a reader of a stream has all of it, as this process knows
// without a look at the store: nobody else writes, and others' commits are what
// moved the shard.
func (l *Log) upToDate(stream string, c *cursor) bool {
	if !l.driver.Exclusive() || c.at < len(c.page) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	version, known := l.lanes[c.shard].window.head(stream)
	return known && version < c.left.From
}

// drain yields every commit up to the watermark, which nothing can precede any
// more. wait is how long until the next one that is there already may come; 0:
// nothing is there.
func drain(ctx context.Context, cursors []*cursor, watermark int64, out *output) (wait time.Duration, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		c, first, err := earliestCommit(ctx, cursors, false)
		switch {
		case err != nil:
			return 0, err
		case c == nil:
			return 0, nil
		case len(cursors) > 1 && first.time > watermark:
			return max(time.Duration(first.time-watermark), time.Millisecond), nil
		}
		if err := out.commit(first); err != nil {
			return 0, err
		}
		c.next()
	}
}

// watermark is a time so that every commit of the shards up to it is durable,
// and every later one will have a later time. In a log that others write to it
// trusts that clocks differ by MaxSkew at most.
func (l *Log) watermark(shards []int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.clock.last.Load()
	if !l.driver.Exclusive() {
		w = l.clock.now().UnixNano() - int64(l.opts.MaxSkew)
	}
	for _, s := range shards {
		if ln := l.lanes[s]; len(ln.pending) > 0 {
			w = min(w, ln.pending[0].commit.time-1)
		}
	}
	return w
}

// subscribe returns a bell that rings when one of the shards may have moved.
func (l *Log) subscribe(shards []int) (bell chan struct{}, stop func()) {
	bell = make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range shards {
		l.lanes[s].followers[bell] = struct{}{}
	}
	release := l.watch()
	return bell, func() {
		release()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, s := range shards {
			delete(l.lanes[s].followers, bell)
		}
	}
}

// await returns when the bell rings, when wait is over, or when it is time to
// poll for other processes' commits.
func (l *Log) await(ctx context.Context, bell chan struct{}, wait time.Duration) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if wait == 0 && !l.driver.Exclusive() {
		wait = l.opts.Poll
	}
	var over <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-bell:
		return nil
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitFor returns when every commit up to p is durable and visible here: at
// once for what this process wrote itself.
func (l *Log) WaitFor(ctx context.Context, p Position) error {
	shards, err := l.lacking(ctx, p)
	if err != nil || len(shards) == 0 {
		return err
	}
	bell, stop := l.subscribe(shards)
	defer stop()
	for {
		if shards, err = l.lacking(ctx, p); err != nil || len(shards) == 0 {
			return err
		}
		if err := l.await(ctx, bell, 0); err != nil {
			return err
		}
	}
}

// lacking returns the shards that have not reached p.
func (l *Log) lacking(ctx context.Context, p Position) (shards []int, err error) {
	for s, rev := range p.revs {
		if rev == 0 {
			continue
		}
		if s >= l.Shards() {
			return nil, fmt.Errorf("eventlog: position %s: the log has no shard %d", p, s)
		}
		tail, err := l.driver.Tail(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("eventlog: wait: %w", err)
		}
		if tail < rev {
			shards = append(shards, s)
		}
	}
	return shards, nil
}
