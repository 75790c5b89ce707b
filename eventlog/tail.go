package eventlog

import (
	"context"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Tail returns the last revision of a shard: [Log.Position] for one shard.
func (l *Log) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if shard < 0 || shard >= l.opts.Shards {
		return 0, fmt.Errorf("eventlog: tail: shard %d: the log has 0 to %d", shard, l.opts.Shards-1)
	}
	tail, err := l.driver.Tail(ctx, shard)
	if err != nil {
		return 0, fmt.Errorf("eventlog: tail of shard %d: %w", shard, err)
	}
	return tail, nil
}

// Tails yields the last revision of a shard as it is now, and then each time that it
// has risen; of what comes fast it may leave out all but the last. It ends with the
// error of ctx. What this Log writes it knows; it asks the store at first, when somebody
// says that there is more ([Log.Wake], or the store itself), and when it heard nothing
// for Options.Poll.
func (l *Log) Tails(ctx context.Context, shard int) iter.Seq2[driver.Revision, error] {
	return func(yield func(driver.Revision, error) bool) {
		if err := l.tails(ctx, shard, yield); err != nil && err != errStop {
			yield(0, err)
		}
	}
}

func (l *Log) tails(ctx context.Context, shard int, yield func(driver.Revision, error) bool) error {
	if shard < 0 || shard >= l.opts.Shards {
		_, err := l.Tail(ctx, shard)
		return err
	}
	bell, stop := l.subscribe([]int{shard})
	defer stop()
	var at driver.Revision
	var answered uint64
	for look, first := true, true; ; first = false {
		tail, rumours := l.known(shard) // before the look: who speaks up meanwhile is answered next time
		if look || rumours != answered {
			var err error
			if tail, err = l.Tail(ctx, shard); err != nil {
				return err
			}
			answered = rumours
		}
		if first || tail > at {
			if at = tail; !yield(tail, nil) {
				return errStop
			}
		}
		rang, err := l.await(ctx, bell, 0)
		if err != nil {
			return err
		}
		look = !rang
	}
}

// known returns the last revision of a shard that this process knows without asking
// the store, and how often it was told that there is more.
func (l *Log) known(shard int) (tail driver.Revision, rumours uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lanes[shard].tail, l.lanes[shard].rumours
}

// Grown reports whether a stream may have events behind a version, and up to which
// revision of its shard the answer holds: since is one that an earlier answer held for, or
// up to which the caller has read the stream. It asks the store where the shard ends, not
// what is in it: commits that this Log knows it has in memory, and only those that others
// wrote since are a maybe.
func (l *Log) Grown(ctx context.Context, stream string, version uint64, since driver.Revision) (grown bool, asOf driver.Revision, err error) {
	shard := l.ShardOf(stream)
	tail, err := l.Tail(ctx, shard)
	if err != nil {
		return false, 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.lanes[shard]
	head, known := ln.window.head(stream)
	if grown = head > version; !known {
		changed, known := ln.window.changed(stream, since)
		grown = changed || !known
	}
	return grown || tail > max(ln.tail, since), tail, nil
}
