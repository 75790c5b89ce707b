package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// follow yields what is there and then waits for more, until ctx is done.
func (p *plan) follow(ctx context.Context, cursors []*cursor, out *output) error {
	bell, stop := p.log.subscribe(p.shards)
	defer stop()
	for rang := false; ; {
		// The order matters: what is not durable when the watermark is taken
		// will be later than it, and what is durable the cursors find.
		watermark := p.log.watermark(p.shards)
		var wait time.Duration
		if news := p.log.news(cursors); news || !rang || len(cursors) > 1 {
			for _, c := range cursors {
				c.again()
			}
			var err error
			if wait, err = drain(ctx, cursors, watermark, out); err != nil {
				return err
			}
		}
		var err error
		if rang, err = p.log.await(ctx, bell, wait); err != nil {
			return err
		}
	}
}

// news reports whether there may be something for followers since they were asked for
// last, as far as this process knows without a look at the store: it was told of more, or
// knows commits that may carry a key of theirs. Mostly others' commits moved the shard.
func (l *Log) news(cursors []*cursor) (news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range cursors {
		ln := l.lanes[c.shard]
		changed, known := ln.tail > c.asOf, true
		if c.key != "" {
			changed, known = ln.window.changed(c.key, c.asOf)
		}
		news = news || changed || !known || ln.rumours != c.rumours
		c.asOf, c.rumours = max(c.asOf, ln.tail), ln.rumours
	}
	return news
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
// trusts that clocks differ by MaxSkew at most; so what of theirs is under way counts
// like what nobody here knows of.
func (l *Log) watermark(shards []int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.clock.last.Load()
	if !l.driver.Exclusive() {
		w = l.clock.now().UnixNano() - int64(l.opts.MaxSkew)
	}
	for _, s := range shards {
		if ln := l.lanes[s]; len(ln.pending) > ln.foreign {
			w = min(w, ln.pending[ln.foreign].time-1)
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

// await returns when the bell rings, or else when wait is over, or when it is time to
// poll for other processes' commits.
func (l *Log) await(ctx context.Context, bell chan struct{}, wait time.Duration) (rang bool, err error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return false, ErrClosed
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
		return true, nil
	case <-over:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// WaitFor returns when every commit up to p is durable and visible here: at
// once, and without asking the store, for what this process wrote itself.
func (l *Log) WaitFor(ctx context.Context, p Position) error {
	for s := l.Shards(); s < len(p.revs); s++ {
		if p.revs[s] > 0 {
			return fmt.Errorf("eventlog: position %s: the log has no shard %d", p, s)
		}
	}
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return fmt.Errorf("eventlog: wait: %w", ErrClosed)
	}
	for s, rev := range p.revs {
		if err := l.reaches(ctx, s, rev); err != nil {
			return fmt.Errorf("eventlog: wait: %w", err)
		}
	}
	return nil
}

// reaches returns when a shard has a revision; at once, also while the log is being closed,
// where this process knows it.
func (l *Log) reaches(ctx context.Context, shard int, rev driver.Revision) error {
	if rev == 0 {
		return nil
	}
	if tail, _ := l.known(shard); tail >= rev {
		return nil
	}
	for tail, err := range l.Tails(ctx, shard) {
		if err != nil || tail >= rev {
			return err
		}
	}
	return nil
}
