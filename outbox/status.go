package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Status says how a Runner fares.
type Status struct {
	Running bool
	SweepInfo
	Shards []ShardInfo // that it holds
	Errs   []error     // what keeps it from working, now
}

// ErrNotRunning: nobody runs the Runner, Reactor, Relay, Inbox or saga.Census.
var ErrNotRunning = errors.New("does not run")

// Health returns nil when the Runner runs and nothing keeps it from working: it
// can keep its leases, read its shards, and save how far it came. What fails in
// handlers is not among this.
func (r *Runner) Health(ctx context.Context) error {
	s, err := r.Status(ctx)
	if err == nil && !s.Running {
		err = fmt.Errorf("outbox: the runner %w", ErrNotRunning)
	}
	return errors.Join(append(s.Errs, err)...)
}

// Status returns how the Runner fares, by what it knows: the store is not asked.
func (r *Runner) Status(ctx context.Context) (Status, error) {
	r.mu.Lock()
	var e *engine
	for e = range r.runs {
	}
	r.mu.Unlock()
	if e == nil {
		return Status{}, nil
	}
	answer := make(chan Status, 1)
	select {
	case e.inbox <- func() { answer <- e.status() }:
	case <-e.ended:
		return Status{}, nil
	case <-ctx.Done():
		return Status{}, fmt.Errorf("outbox: status: %w", ctx.Err())
	}
	select {
	case s := <-answer:
		return s, nil
	case <-e.ended:
		return Status{}, nil
	case <-ctx.Done():
		return Status{}, fmt.Errorf("outbox: status: %w", ctx.Err())
	}
}

func (e *engine) status() Status {
	s := Status{Running: true, SweepInfo: e.sweepInfo()}
	if s.Err != nil {
		s.Errs = append(s.Errs, s.Err)
	}
	if s.Lag > e.Lease/2 && s.Err == nil {
		s.Errs = append(s.Errs, fmt.Errorf("outbox: the last sweep is overdue by %v", s.Lag.Round(time.Millisecond)))
	}
	for _, src := range e.sources {
		if src == nil {
			continue
		}
		s.Shards = append(s.Shards, src.info())
		if src.err != nil {
			s.Errs = append(s.Errs, fmt.Errorf("outbox: shard %d: %w", src.shard, src.err))
		}
	}
	return s
}

func (e *engine) sweepInfo() SweepInfo {
	last := e.swept
	if last.IsZero() { // there was none yet
		last = e.begun
	}
	i := SweepInfo{Held: len(e.keeper.Held()), Runners: e.keeper.Runners(), Lag: max(0, time.Since(last)-e.Sweep)}
	_, i.Err = e.keeper.Failing()
	return i
}

// info says what is known of the shard.
func (s *source) info() ShardInfo {
	i := ShardInfo{Shard: s.shard, Held: !s.guest && !s.lost, Waiting: s.mark.Due, Parked: s.mark.Parked, Stopped: s.mark.Stopped}
	for _, st := range s.states {
		if st == pending || st == deferred {
			i.Backlog++
		}
	}
	if v, known := s.Log.Recent(stepsStream(s.shard)); known && v >= s.next() {
		i.Backlog += int(v - s.next() + 1)
	}
	now := s.Log.Now()
	for _, it := range s.hands {
		if cell := max(it.cell, it.left); cell != "" { // it is counted as waiting until it is done
			i.Backlog++
			s.uncount(&i, cell)
		}
		i.late(it, now)
	}
	if len(s.alarms) > 0 && !s.alarms[0].due.After(now) { // there was no room for all that is due
		for _, it := range s.alarms {
			if it.over || it.due.After(now) {
				continue
			}
			i.Backlog++
			if i.late(it, now); it.cell != "" {
				s.uncount(&i, it.cell)
			} else {
				i.count(it.kind, -1)
			}
		}
	}
	for key := range s.drops {
		s.uncount(&i, key)
	}
	for _, it := range s.loose {
		if it.cell == "" && it.left == "" {
			i.count(it.kind, 1)
		}
	}
	return i
}

// late takes in a step that could run.
func (i *ShardInfo) late(it *item, now time.Time) {
	i.Oldest = max(i.Oldest, now.Sub(it.ready()))
	if !it.due.IsZero() && !it.due.After(now) {
		i.Due++
	}
}

func (s *source) uncount(i *ShardInfo, cell string) {
	kind, _, _ := cutCell(cell)
	i.count(kind, -1)
}

func (i *ShardInfo) count(kind string, n int) {
	switch kind {
	case dueCells:
		i.Waiting += n
	case parkedCells:
		i.Parked += n
	case stopCells:
		i.Stopped += n
	}
}

// ready is since when the step could have run, its attempts not counted.
func (it *item) ready() time.Time {
	if it.due.After(it.time) {
		return it.due
	}
	return it.time
}
