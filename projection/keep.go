package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/internal/lease"
)

// keep runs one projection until ctx ends (nil) or it has to stop.
func (r *Runner[T]) keep(ctx context.Context, p *Projection[T], tails *tails, live *progress) error {
	err := r.prepare(ctx, p, live)
	if err == nil {
		err = r.work(ctx, p, tails, live)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s stopped: %w", p.Name, err)
	live.stop(err)
	r.note(ctx, p, err)
	r.logger().Error("projection: stopped", append(reason(err), "projection", p.Name)...)
	return err
}

// work follows all shards. The first that has to stop stops the others.
func (r *Runner[T]) work(ctx context.Context, p *Projection[T], tails *tails, live *progress) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handlers := p.byType()
	errs := make([]error, len(tails.shards))
	var wg sync.WaitGroup
	for s := range tails.shards {
		w := &worker[T]{Runner: r, projection: p, handlers: handlers, tails: tails, live: live, shard: s}
		wg.Go(func() {
			if errs[s] = w.run(ctx); errs[s] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// prepare makes sure that the sink holds this version of the projection, built
// from this log. What the sink or the log refuse is tried again for ever, a
// Reset that fails as often as an event.
func (r *Runner[T]) prepare(ctx context.Context, p *Projection[T], live *progress) error {
	for n := 1; ctx.Err() == nil; n++ {
		err := r.ready(ctx, p)
		var failed *resetError
		switch {
		case err == nil:
			live.well(allShards)
			return nil
		case errors.Is(err, ErrMoved):
			continue // another runner was faster
		case isFinal(err), errors.As(err, &failed) && n >= r.attempts():
			return err
		case ctx.Err() != nil:
			return nil
		}
		live.trouble(allShards, err)
		r.logger().Warn("projection: not ready, trying again", append(reason(err), "projection", p.Name, "failures", n)...)
		jitter.Pause(ctx, backoff(r.firstBackoff(), n))
	}
	return nil
}

func (r *Runner[T]) ready(ctx context.Context, p *Projection[T]) error {
	state, err := r.Sink.State(ctx, p.Name)
	switch {
	case err != nil:
		return fmt.Errorf("sink: %w", err)
	case state.Version > p.Version:
		return fmt.Errorf("%w: it has %d, the program %d", ErrVersion, state.Version, p.Version)
	case state.Version < p.Version:
		return r.reset(ctx, p, state.Version)
	}
	if err := r.recognise(ctx, state); err != nil || state.Stop == nil {
		return err
	}
	if err := r.Sink.Note(ctx, p.Name, nil); err != nil { // it goes on
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}

// reset empties the read model. held is the version that the sink holds.
func (r *Runner[T]) reset(ctx context.Context, p *Projection[T], held int) error {
	if held != 0 && p.Reset == nil {
		return fmt.Errorf("%w: the sink holds version %d of it", errNoReset, held)
	}
	ctx, release := lease.Linger(ctx, r.grace())
	defer release()
	err := r.Sink.Reset(ctx, Reset{Name: p.Name, Held: held, Version: p.Version, Shards: r.Log.Shards()}, func(tx T) error {
		if p.Reset == nil {
			return nil
		}
		if err := guard(func() error { return p.Reset(tx) }); err != nil {
			return &resetError{err}
		}
		return nil
	})
	var failed *resetError
	switch {
	case errors.As(err, &failed):
		return failed
	case err != nil:
		return fmt.Errorf("sink: %w", err)
	}
	r.logger().Info("projection: starts at the beginning", "projection", p.Name, "version", p.Version, "held", held)
	return nil
}

// recognise holds the checkpoints against the log.
func (r *Runner[T]) recognise(ctx context.Context, state State) error {
	if len(state.Checkpoints) != r.Log.Shards() {
		return fmt.Errorf("%w: it has %d shards, the log %d", ErrOtherLog, len(state.Checkpoints), r.Log.Shards())
	}
	tail, err := r.Log.Position(ctx)
	if err != nil {
		return err
	}
	for _, c := range state.Checkpoints {
		if have := tail.Revision(c.Shard); c.Revision > have {
			return fmt.Errorf("%w: it is at revision %d of shard %d, the log at %d", ErrOtherLog, c.Revision, c.Shard, have)
		}
		if c.Last.Revision == 0 {
			continue
		}
		q := eventlog.Query{Shards: []int{c.Shard}, From: uint64(c.Last.Revision), To: uint64(c.Last.Revision), System: true, Stored: true, Limit: 1}
		var have eventlog.ID
		for rec, err := range r.Log.Read(ctx, q) {
			if err != nil {
				return err
			}
			have = rec.Commit()
		}
		if have != c.Last.Commit {
			return fmt.Errorf("%w: shard %d revision %d was commit %s there, the log has %s",
				ErrOtherLog, c.Shard, c.Last.Revision, c.Last.Commit, have)
		}
	}
	return nil
}

// isFinal reports whether repeating cannot help.
func isFinal(err error) bool {
	for _, final := range []error{ErrVersion, ErrOtherLog, errNoReset, eventlog.ErrCorrupt, eventlog.ErrClosed, eventlog.ErrFormat} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

func (r *Runner[T]) attempts() int {
	if r.Attempts == 0 {
		return defaultAttempts
	}
	return r.Attempts
}

func (r *Runner[T]) grace() time.Duration {
	if r.Grace == 0 {
		return defaultGrace
	}
	return r.Grace
}

func (r *Runner[T]) firstBackoff() time.Duration {
	if r.Backoff == 0 {
		return defaultBackoff
	}
	return r.Backoff
}
