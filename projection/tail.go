package projection

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
)

// tails knows how far each shard reaches, for all projections of a runner
// together, so that a waiting projection costs nothing.
type tails struct {
	log    *eventlog.Log
	shards []tail
}

type tail struct {
	mu    sync.Mutex
	rev   driver.Revision
	err   error         // the log was closed
	moved chan struct{} // closed when rev rises, or with err
}

func newTails(log *eventlog.Log) *tails {
	t := &tails{log: log, shards: make([]tail, log.Shards())}
	for s := range t.shards {
		t.shards[s].moved = make(chan struct{})
	}
	return t
}

// upTo returns tails that stay at p.
func upTo(log *eventlog.Log, p eventlog.Position) *tails {
	t := newTails(log)
	for s := range t.shards {
		t.shards[s].rev = p.Revision(s)
	}
	return t
}

// follow keeps the tails up to date until ctx ends or the log is closed.
func (t *tails) follow(ctx context.Context) {
	var wg sync.WaitGroup
	for s := range t.shards {
		wg.Go(func() { t.followShard(ctx, s) })
	}
	wg.Wait()
}

// followShard keeps a tail up to date. A store that fails is asked again; the
// projections, which read it too, report it.
func (t *tails) followShard(ctx context.Context, shard int) {
	for ctx.Err() == nil {
		for rev, err := range t.log.Tails(ctx, shard) {
			if errors.Is(err, eventlog.ErrClosed) {
				t.shards[shard].set(0, err)
				return
			}
			if err == nil {
				t.shards[shard].set(rev, nil)
			}
		}
		jitter.Pause(ctx, time.Second)
	}
}

func (t *tail) set(rev driver.Revision, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rev > t.rev || err != nil {
		t.rev, t.err = max(rev, t.rev), err
		close(t.moved)
		t.moved = make(chan struct{})
	}
}

func (t *tail) get() (driver.Revision, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rev, t.moved, t.err
}

// at returns the tail of a shard, as far as it is known.
func (t *tails) at(shard int) driver.Revision {
	rev, _, _ := t.shards[shard].get()
	return rev
}

// wait returns the tail of a shard as soon as it is behind rev. It returns 0
// when kicked or when ctx is done, and an error when the log was closed.
func (t *tails) wait(ctx context.Context, shard int, rev driver.Revision, kicked <-chan struct{}) (driver.Revision, error) {
	for {
		at, moved, err := t.shards[shard].get()
		if at > rev || err != nil {
			return at, err
		}
		select {
		case <-moved:
		case <-kicked:
			return 0, nil
		case <-ctx.Done():
			return 0, nil
		}
	}
}
