package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

type saveDone struct {
	mark bookmark
	err  error
}

const saveEvery = 500 * time.Millisecond

// run rolls forward until ctx ends, and then finishes the batches in hand.
func (d *dispatcher) run(ctx context.Context, bell <-chan struct{}) error {
	work, stop := d.patience(ctx)
	defer stop()
	defer d.finish(work)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var sweep, save time.Time
	for ctx.Err() == nil {
		now := time.Now()
		if !now.Before(sweep) {
			d.more, sweep = true, now.Add(d.Sweep)
		}
		if err := d.turn(ctx); err != nil {
			switch {
			case ctx.Err() != nil:
				return nil
			case fatal(err):
				return err
			}
			d.misses++
			d.Logger.Error("the steps of a shard cannot be read", "shard", d.shard, "err", err)
			d.more, sweep = false, now.Add(faults.delay(d.misses))
		}
		if d.failed != nil && fatal(d.failed) {
			return d.failed
		}
		if d.dirty && d.saves == nil && !now.Before(save) {
			save = now.Add(saveEvery)
			d.save(work)
		}
		timer.Reset(d.rest(sweep, save))
		select {
		case <-d.again():
		case d.ready() <- struct{}{}:
			d.start(work)
		case r := <-d.results:
			d.settle(r)
		case s := <-d.saves:
			d.saved(s)
		case <-bell:
			d.more = true
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// drain rolls forward until nothing is due.
func (d *dispatcher) drain(ctx context.Context) error {
	d.more, d.failed = true, nil
	for {
		if err := d.turn(ctx); err != nil {
			return d.await(err)
		}
		if d.failed != nil {
			return d.await(d.failed)
		}
		if d.busy == 0 && len(d.queues.ready) == 0 && !d.hungry() {
			return nil
		}
		select {
		case <-d.again():
		case d.ready() <- struct{}{}:
			d.start(ctx)
		case r := <-d.results:
			d.settle(r)
		}
	}
}

// await waits for the batches under way.
func (d *dispatcher) await(err error) error {
	for d.busy > 0 {
		d.settle(<-d.results)
	}
	d.advance()
	return err
}

// turn wakes what is due, reads on if there is room, and moves the cursor.
func (d *dispatcher) turn(ctx context.Context) error {
	d.queues.wake(d.Log.Now())
	d.advance()
	if !d.hungry() {
		return nil
	}
	err := d.read(ctx)
	d.advance()
	return err
}

// hungry reports whether there is more to read and room for it.
func (d *dispatcher) hungry() bool { return d.more && d.room(len(d.window)) }

// again is open when there is more to read at once.
func (d *dispatcher) again() <-chan struct{} {
	if d.hungry() {
		return always
	}
	return nil
}

var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// ready is where a slot is to be had when a target can go.
func (d *dispatcher) ready() chan<- struct{} {
	if len(d.queues.ready) > 0 {
		return d.slots
	}
	return nil
}

// rest is how long there is nothing to do unless something happens.
func (d *dispatcher) rest(sweep, save time.Time) time.Duration {
	rest := time.Until(sweep)
	if d.dirty && d.saves == nil {
		rest = min(rest, time.Until(save))
	}
	if due, ok := d.queues.due(); ok {
		rest = min(rest, due.Sub(d.Log.Now()))
	}
	return max(rest, 0)
}

// fatal errors end a runner: going on would not help, and a human must know.
func fatal(err error) bool {
	return errors.Is(err, eventlog.ErrClosed) || errors.Is(err, eventlog.ErrCorrupt) || errors.Is(err, eventlog.ErrFormat)
}

// patience is the context of the work in hand: it outlives ctx by Grace.
func (d *dispatcher) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer *time.Timer
	armed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		timer = time.AfterFunc(d.Grace, cancel)
		close(armed)
	})
	return work, func() {
		if !stop() {
			<-armed
			timer.Stop()
		}
		cancel()
	}
}

// save writes the cursor's cell without holding up the work.
func (d *dispatcher) save(ctx context.Context) {
	done := make(chan saveDone, 1)
	d.saves, d.dirty = done, false
	mark, known := d.mark, d.known()
	go func() {
		mark, err := mark.save(ctx, d.Log, d.shard, known)
		done <- saveDone{mark, err}
	}()
}

func (d *dispatcher) saved(s saveDone) {
	d.saves, d.mark = nil, s.mark
	if s.err != nil {
		d.dirty = true
		d.Logger.Warn("the cursor of a shard cannot be saved", "shard", d.shard, "err", s.err)
	}
}

// finish waits for the work under way and saves how far it came.
func (d *dispatcher) finish(ctx context.Context) {
	_ = d.await(nil)
	if d.saves != nil {
		d.saved(<-d.saves)
	}
	if d.dirty {
		d.save(ctx)
		d.saved(<-d.saves)
	}
}
