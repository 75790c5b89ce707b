package outbox

import (
	"context"
	"math"
	"time"
)

// run works until ctx ends, and then finishes what is in hand; a drain until
// nothing is due.
func (e *engine) run(ctx context.Context) error {
	work, stop := e.patience(ctx)
	defer stop()
	e.work, e.begun = work, time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && e.fatal == nil {
		if e.turn(); e.done() { // a turn begins all that there is to do
			break
		}
		timer.Reset(e.rest())
		select {
		case then := <-e.inbox:
			then()
			e.more()
		case <-e.bells.rung:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	e.finish()
	return e.fatal
}

// more does what else came in.
func (e *engine) more() {
	for {
		select {
		case then := <-e.inbox:
			then()
		default:
			return
		}
	}
}

// turn starts all that can be started.
func (e *engine) turn() {
	now := time.Now()
	if !now.Before(e.sweep) {
		e.sweep = now.Add(e.Sweep)
		if !e.ticking {
			e.tick()
		} else if e.looked {
			e.own() // what is held may have run out
		}
		if e.looked && !now.Before(e.visits) {
			e.visits = now.Add(e.Lease)
			e.visit()
		}
		for _, s := range e.sources {
			if s != nil {
				s.more, s.sweep = true, true
				e.Hooks.shard(s.info())
			}
		}
	}
	e.answer()
	for _, s := range e.sources {
		if s == nil {
			continue
		}
		s.wake(e.Log.Now())
		if s.leaving && e.left(s, now) || s.visiting && e.visited(s) {
			continue
		}
		s.read(now)
		s.save(now, e.draining || s.leaving)
	}
	e.split(now)
	e.jammed = false
	for e.start() {
	}
}

// answer looks where the bells have rung.
func (e *engine) answer() {
	for shard, rung := range e.bells.take() {
		s := e.sources[shard]
		if s == nil || rung == silent {
			continue
		}
		if v, known := e.Log.Recent(stepsStream(shard)); rung == strange || !known || v >= s.next() {
			s.more, s.others = true, s.others || rung == strange
		}
	}
}

// left gives a shard back when its work in hand is done, or takes too long for the
// others to wait; the rest is for whoever comes next.
func (e *engine) left(s *source, now time.Time) bool {
	e.dropItems(s)
	busy := len(s.hands) > 0 || s.reading || s.saving || s.dirty && !now.Before(s.pause)
	if busy && now.Before(s.until) {
		return false
	}
	e.giveBack(s)
	return true
}

// rest is how long there is nothing to do unless something happens.
func (e *engine) rest() time.Duration {
	now := time.Now()
	rest := e.sweep.Sub(now)
	for _, s := range e.sources {
		if s == nil {
			continue
		}
		rest = min(rest, s.rest(now))
	}
	for _, since := range e.slow {
		rest = min(rest, since.Add(slowBatch).Sub(now))
	}
	if e.jammed {
		rest = min(rest, e.lead.patience())
	}
	return max(rest, 0)
}

// rest is how long the source has nothing to do.
func (s *source) rest(now time.Time) time.Duration {
	rest := time.Duration(math.MaxInt64)
	if len(s.alarms) > 0 && len(s.hands) < s.wakeRoom() {
		rest = s.alarms[0].due.Sub(s.Log.Now())
	}
	if s.leaving {
		rest = min(rest, s.until.Sub(now))
	}
	paused := s.pause.Sub(now)
	if paused > 0 {
		rest = min(rest, paused)
	}
	if s.dirty && !s.saving && !s.scanning && !s.guest && s.loaded {
		rest = min(rest, max(paused, s.saved.Add(saveEvery).Sub(now)))
	}
	return rest
}

// done reports whether a drain has nothing more to do: a look at all shards,
// behind everything else, found nothing.
func (e *engine) done() bool {
	if !e.draining {
		return false
	}
	if e.failed != nil {
		return true
	}
	if e.doing > 0 || e.ticking || e.queues.count > 0 || e.swept.IsZero() {
		return false
	}
	for _, s := range e.sources {
		if s == nil {
			continue
		}
		if v, known := e.Log.Recent(stepsStream(s.shard)); known && v >= s.next() {
			s.more = true // a batch is answered before the bell of its commit rings
		}
		due := len(s.alarms) > 0 && !s.alarms[0].due.After(e.Log.Now())
		if !s.loaded || s.more || due || s.dirty && !s.guest || len(s.parked) > 0 || s.pause.After(time.Now()) || s.unread() {
			return false
		}
	}
	return true
}

// unread reports whether steps were left unread for which there will be room.
func (s *source) unread() bool {
	for _, l := range s.lanes {
		if l.from > 0 {
			return true
		}
	}
	return false
}

// finish waits for the work under way, saves how far it came, and gives the
// leases back.
func (e *engine) finish() {
	e.settleAll()
	for range 3 {
		for _, s := range e.sources {
			if s != nil {
				s.saving = false
				s.pause = time.Time{}
				s.save(time.Now(), true)
			}
		}
		e.settleAll()
	}
	// The work in hand may have used up the grace. Whoever comes next is not to wait
	// for the leases to run out because of that.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.work), closing)
	defer cancel()
	if err := e.keeper.Close(ctx); err != nil {
		e.Logger.Warn("the leases of the shards cannot be given back", "err", err)
	}
}

// closing is how long it may take to give the leases back.
const closing = time.Second

func (e *engine) settleAll() {
	for e.doing > 0 {
		(<-e.inbox)()
	}
}

// patience is the context of the work in hand: it outlives ctx by Grace.
func (e *engine) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer *time.Timer
	armed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		timer = time.AfterFunc(e.Grace, cancel)
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
