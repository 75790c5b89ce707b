package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// A worker applies one shard to one projection. It trusts what it remembers only
// as long as all goes well: after any error it asks the sink.
type worker[T any] struct {
	*Runner[T]
	projection *Projection[T]
	handlers   map[string]Handler[T]
	tails      *tails
	live       *progress
	shard      int

	kicked   <-chan struct{} // closed when batch is void
	batch    batch[T]        // from the sink's checkpoint to where the log was read
	pace     pace
	fence    driver.Revision // a commit that was refused: it gets a transaction of its own
	refusals int             // of the commit at the fence, when it was alone
	failures int             // of log and sink, in a row
}

// run works until ctx ends (nil) or the projection has to stop.
func (w *worker[T]) run(ctx context.Context) error {
	w.pace = newPace(w.Batch)
	for {
		err := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			continue
		}
		if err := w.failed(ctx, err); err != nil {
			return err
		}
	}
}

// follow goes on from the sink's checkpoint until something goes wrong or ctx
// ends.
func (w *worker[T]) follow(ctx context.Context) error {
	w.kicked = w.live.kicks()
	if err := w.load(ctx); err != nil {
		return err
	}
	for {
		w.live.waits(w.shard)
		if w.tails.at(w.shard) <= w.at() {
			w.well()
		}
		tail, err := w.next(ctx)
		w.live.works(w.shard)
		if err == nil && tail > 0 {
			err = w.catchUp(ctx, tail)
		}
		if err != nil || tail == 0 {
			return err
		}
	}
}

// load asks the sink where the shard is.
func (w *worker[T]) load(ctx context.Context) error {
	state, err := w.Sink.State(ctx, w.projection.Name)
	switch {
	case err != nil:
		return fmt.Errorf("sink: %w", err)
	case state.Version != w.projection.Version:
		return fmt.Errorf("%w: it has %d now, the program %d", ErrVersion, state.Version, w.projection.Version)
	case w.shard >= len(state.Checkpoints):
		return fmt.Errorf("%w: it has %d shards", ErrOtherLog, len(state.Checkpoints))
	}
	w.batch.begin(state.Checkpoints[w.shard])
	w.live.set(w.kicked, w.shard, w.at())
	return nil
}

// at is how far the log was read.
func (w *worker[T]) at() driver.Revision { return w.batch.move.To.Revision }

// next returns the tail of the shard when it is behind what was read, or 0 when
// it is time to ask the sink again or to end. Commits that have no effect
// move the checkpoint only when nothing else has moved it for a while.
func (w *worker[T]) next(ctx context.Context) (driver.Revision, error) {
	if w.batch.isEmpty() {
		return w.tails.wait(ctx, w.shard, w.at(), w.kicked)
	}
	soon, cancel := context.WithTimeout(ctx, idleMove)
	defer cancel()
	tail, err := w.tails.wait(soon, w.shard, w.at(), w.kicked)
	if err != nil || tail > 0 {
		return tail, err
	}
	w.live.works(w.shard)
	err = w.apply(ctx)
	w.live.waits(w.shard)
	if err != nil || ctx.Err() != nil {
		return 0, err
	}
	return w.tails.wait(ctx, w.shard, w.at(), w.kicked)
}

// idleMove is how long a checkpoint may be behind commits without effect.
const idleMove = 500 * time.Millisecond

// catchUp reads the commits up to tail and applies those that have an effect.
func (w *worker[T]) catchUp(ctx context.Context, tail driver.Revision) error {
	to := w.bound(tail)
	q := eventlog.Query{Shards: []int{w.shard}, From: uint64(w.at()) + 1, To: uint64(to), System: true}
	for rec, err := range w.Log.Read(ctx, q) {
		if err == nil {
			err = w.batch.add(w.projection, w.handlers, rec)
		}
		if err != nil {
			return err
		}
		if rec.Last() && (w.batch.events >= w.pace.limit || w.batch.bytes >= maxBytes) {
			if err := w.apply(ctx); err != nil {
				return err
			}
		}
	}
	w.batch.move.To.Revision = to // the last commits may be without events
	if len(w.batch.effects) == 0 {
		w.live.set(w.kicked, w.shard, to)
		return nil
	}
	return w.apply(ctx)
}

// bound keeps a commit that was refused apart from those before and behind it.
func (w *worker[T]) bound(tail driver.Revision) driver.Revision {
	switch next := w.at() + 1; {
	case next > w.fence:
		w.fence, w.refusals = 0, 0
	case next < w.fence:
		return min(tail, w.fence-1)
	case next == w.fence:
		return w.fence
	}
	return tail
}

// apply commits the batch and begins the next one. When ctx ends meanwhile, the
// sink may finish.
func (w *worker[T]) apply(ctx context.Context) error {
	b := &w.batch
	ctx, release := lease.Linger(ctx, w.grace())
	defer release()
	var start time.Time
	err := w.Sink.Apply(ctx, Batch{Name: w.projection.Name, Version: w.projection.Version, Moves: []Move{b.move}}, func(tx T) error {
		start = time.Now()
		return b.run(tx, w.projection.Name)
	})
	var refused *EventError
	switch {
	case errors.As(err, &refused):
		return refused
	case err != nil:
		return fmt.Errorf("sink: %w", err)
	}
	w.pace.took(b.events, time.Since(start))
	w.done()
	return nil
}

// done notes that the batch took effect.
func (w *worker[T]) done() {
	w.well()
	w.live.works(w.shard)
	for _, typ := range w.live.skip(w.batch.skipped) {
		w.logger().Info("projection: skips events of a type without a handler", "projection", w.projection.Name, "type", typ)
	}
	w.live.set(w.kicked, w.shard, w.at())
	w.batch.begin(w.batch.move.To)
}

// well notes that nothing is wrong.
func (w *worker[T]) well() {
	w.failures = 0
	w.live.well(w.shard)
}

// failed decides what an error means: nil to go on, after a pause where one
// helps, or the reason to stop.
func (w *worker[T]) failed(ctx context.Context, err error) error {
	var refused *EventError
	switch {
	case errors.As(err, &refused): // first: it may wrap anything
		return w.refused(ctx, refused)
	case isFinal(err):
		return err
	case errors.Is(err, ErrMoved):
		w.logger().Debug("projection: another runner was faster", "projection", w.projection.Name, "shard", w.shard)
		return nil
	}
	w.failures++
	w.retry(ctx, err, w.failures)
	return nil
}

// refused sets the commit of an event that cannot be handled apart, so that
// those before it take effect, and counts once it is alone.
func (w *worker[T]) refused(ctx context.Context, e *EventError) error {
	if w.fence != e.Record.Revision {
		w.fence, w.refusals = e.Record.Revision, 0
		if errors.Is(e, ErrFull) {
			w.pace.full(w.batch.events)
		}
		return nil
	}
	if w.refusals++; w.refusals >= w.attempts() || e.permanent() {
		return e
	}
	w.retry(ctx, e, w.refusals)
	return nil
}

// retry reports trouble and waits before the next attempt.
func (w *worker[T]) retry(ctx context.Context, err error, n int) {
	w.live.trouble(w.shard, err)
	w.logger().Warn("projection: trying again", append(reason(err), "projection", w.projection.Name, "shard", w.shard, "failures", n)...)
	jitter.Pause(ctx, backoff(w.firstBackoff(), n))
}
