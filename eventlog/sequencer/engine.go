package sequencer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// An engine is a Runner made ready: its options filled in.
type engine struct {
	log      *eventlog.Log
	sweep    time.Duration
	logger   *slog.Logger
	keeper   *lease.Keeper
	troubles lease.Troubles
	any      chan struct{}   // rings with any of bells
	bells    []chan struct{} // one a shard
}

func (e *engine) ring(shard int) {
	for _, bell := range []chan struct{}{e.bells[shard], e.any} {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}

// run rests until something is loose, and then works until nothing has been for a
// while: an idle log pays for no leases.
func (e *engine) run(ctx context.Context) error {
	defer e.log.OnLoose(e.ring)()
	for ctx.Err() == nil {
		found, err := e.look(ctx)
		switch {
		case err != nil:
		case found:
			err = e.shift(ctx)
		default:
			e.wait(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wait waits for a bell, or for a sweep.
func (e *engine) wait(ctx context.Context) {
	timer := time.NewTimer(e.sweep)
	defer timer.Stop()
	select {
	case <-e.any:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// look rings for each shard where something is loose, and reports whether any is. An
// error is that the log was closed.
func (e *engine) look(ctx context.Context) (found bool, err error) {
	shards, err := e.log.LooseShards(ctx)
	switch {
	case errors.Is(err, eventlog.ErrClosed):
		return false, err
	case err != nil && ctx.Err() == nil:
		e.logger.Warn("relaxed appends cannot be looked for", "err", err)
	}
	for _, s := range shards {
		e.ring(s)
	}
	return len(shards) > 0, nil
}

// rest is for how many sweeps, and at the least how long, nothing is loose before
// the leases are given back.
const (
	restSweeps = 10
	rest       = 30 * time.Second
)

// shift works on the shards that it gets leases of, until nothing is loose any more.
func (e *engine) shift(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		defer cancel()
		e.sweepUntilIdle(ctx)
	})
	crew := &lease.Crew{Keeper: e.keeper, Sweep: e.sweep, Work: e.work, Trouble: lease.Tell(e.logger)}
	err := crew.Run(ctx)
	cancel()
	sweeper.Wait()
	return err
}

func (e *engine) sweepUntilIdle(ctx context.Context) {
	idle := time.Now()
	for ctx.Err() == nil && time.Since(idle) < max(rest, restSweeps*e.sweep) {
		select {
		case <-e.any: // the shard has its own bell
			idle = time.Now()
		default:
		}
		jitter.Pause(ctx, e.sweep)
		if found, err := e.look(ctx); found {
			idle = time.Now()
		} else if err != nil {
			return // the next look outside says so
		}
	}
}

// soon is when a shard is looked at again in which something was found. It doubles
// with each look in vain up to a sweep, which then does it.
const soon = 2 * time.Millisecond

// work folds a shard that is held under a lease.
func (e *engine) work(ctx context.Context, l lease.Lease) error {
	defer e.troubles.Well(l.Index)
	again := time.Duration(0) // 0: when the bell rings
	for ctx.Err() == nil {
		info, err := e.log.FoldShard(ctx, l.Index)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, eventlog.ErrClosed) || errors.Is(err, eventlog.ErrFormat):
			return err
		case err != nil:
			e.trouble(l.Index, err)
			again = e.sweep
		case info.Cells > 0:
			e.troubles.Well(l.Index)
			again = soon
		default:
			e.troubles.Well(l.Index)
			if again *= 2; again > e.sweep {
				again = 0
			}
		}
		if err != nil || !info.More {
			e.pause(ctx, l.Index, again)
		}
	}
	return nil
}

func (e *engine) trouble(shard int, err error) {
	e.troubles.Note(shard, err)
	e.logger.Warn("relaxed appends cannot be folded", "shard", shard, "err", err)
}

// pause waits for a shard's bell, or for so long.
func (e *engine) pause(ctx context.Context, shard int, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-e.bells[shard]:
	case <-after:
	case <-ctx.Done():
	}
}
