package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// slowBatch is when the targets of a batch that are not begun yet are taken out
// of it: those before take long.
const slowBatch = 20 * time.Millisecond

// start hands the next batch to a goroutine; false: there is none that can go.
func (e *engine) start() bool {
	if e.queues.count == 0 || e.work.Err() != nil {
		return false
	}
	shards := len(e.sources)
	for range e.sources {
		slot := e.queues.turn(func(slot int) bool {
			if slot >= shards {
				return e.effects < e.Targets
			}
			return e.busy < e.Targets
		})
		if slot < 0 {
			return false
		}
		if slot >= shards {
			e.startEffect(slot)
			return true
		}
		b := e.fill(slot)
		if b == nil {
			continue
		}
		if len(b.groups) > 1 {
			e.slow[b] = time.Now()
		}
		e.roll(b, &e.busy, b.roll)
		return true
	}
	return false
}

// roll has a batch done beside the loop, which hears of its end also when a user's
// function ends the goroutine.
func (e *engine) roll(b *batch, running *int, work func(ctx context.Context) error) {
	e.doing++
	*running++
	go func() {
		begin, err := time.Now(), errExited
		defer func() {
			took := time.Since(begin)
			e.inbox <- func() {
				e.doing--
				*running--
				delete(e.slow, b)
				e.settle(b, took, err)
			}
		}()
		err = work(e.work)
	}()
}

// fill makes a batch of what is ready in a shard; nil: all of it is to wait. While
// there are batches enough that want to do things at once, no others of their kind
// are made.
func (e *engine) fill(slot int) *batch {
	var b *batch
	n, size := e.Batch, batchBytes
	crowd := e.lead.want.Load() >= 2 && e.lead.patience() > 0
	for n > 0 && size > 0 {
		q := e.queues.take(slot, func(q *queue) bool {
			if crowd && q.items[0].handler.fit > 0 {
				e.jammed = true
				return false
			}
			return b == nil || q.faults == 0
		})
		if q == nil {
			break
		}
		if b == nil {
			b = &batch{engine: e, shard: slot, atOnce: e.few, apart: e.few <= 0 || time.Now().Before(e.shy)}
		}
		if fit := q.items[0].handler.fit; fit > 0 && !b.apart {
			n = min(n, fit)
		}
		g := e.group(q, n, size)
		b.groups = append(b.groups, g)
		for _, w := range g.works {
			b.apart = b.apart || w.item.apart
			b.wants = b.wants || w.handler.fit > 0
			n--
			size -= w.length
		}
		if q.faults > 0 { // it goes alone
			break
		}
	}
	if b != nil {
		if b.wants = b.wants && !b.apart; b.wants {
			e.lead.want.Add(1)
		}
	}
	return b
}

func (e *engine) startEffect(slot int) {
	q := e.queues.take(slot, func(*queue) bool { return true })
	b := &batch{engine: e, shard: q.shard, groups: []*group{e.group(q, 1, 1)}, apart: true}
	e.roll(b, &e.effects, func(ctx context.Context) error {
		run, err := b.perform(ctx)
		if err == nil && run {
			err = b.roll(ctx)
		}
		return err
	})
}

// group takes items of a target into a batch.
func (e *engine) group(q *queue, n, size int) *group {
	items := q.cut(n, size)
	g, works := &group{queue: q, works: make([]*work, len(items))}, make([]work, len(items))
	for i, it := range items {
		works[i] = work{item: it, stored: it.raw, refused: it.exited, novel: it.handler.fit == 0}
		g.works[i] = &works[i]
	}
	if s := e.sources[q.shard]; s != nil && !s.guest && s.loaded && !s.lost {
		g.chained, g.known = q.faults == 0 && !s.behindTarget(q), s.next()-1
	}
	return g
}

// split takes targets out of batches that last long, so that no target has to
// wait for another one's handler.
func (e *engine) split(now time.Time) {
	for b, since := range e.slow {
		if now.Sub(since) < slowBatch {
			continue
		}
		delete(e.slow, b)
		for _, g := range b.cutOff() {
			g.cut = true
			e.putBack(g)
			e.queues.free(g.queue)
		}
	}
}

// putBack queues the items of a group again.
func (e *engine) putBack(g *group) {
	for _, w := range g.works {
		e.back(w.item)
	}
}

// back queues an item again that was not reached.
func (e *engine) back(it *item) {
	s := it.src
	if s.lost || s.leaving {
		s.release(it)
		return
	}
	if st := s.stops[it.target]; st != nil && st.head != it && st.head != nil {
		s.behind(st, it)
		return
	}
	e.queues.add(it, e.Log.ShardOf(it.target))
}

// settle takes in what became of a batch.
func (e *engine) settle(b *batch, took time.Duration, err error) {
	groups := slices.DeleteFunc(slices.Clone(b.groups), func(g *group) bool { return g.cut })
	e.learn(b)
	if err != nil {
		e.fault(b, groups, err)
		return
	}
	steps := len(b.linked)
	for _, g := range groups {
		g.queue.faults = 0
		for _, w := range g.works {
			if w.outcome.wrote {
				steps++
			}
			e.settleWork(w)
		}
		e.queues.free(g.queue)
	}
	e.rolled += steps
	for _, typ := range b.linked {
		e.Hooks.step(StepInfo{Shard: b.shard, Type: typ, Outcome: StepDone, Linked: true})
	}
	if steps > 0 {
		e.Hooks.batch(BatchInfo{Shard: b.shard, Steps: steps, Targets: len(groups), Duration: took})
	}
}

func (e *engine) settleWork(w *work) {
	it, o, s := w.item, w.outcome, w.item.src
	if o.wrote {
		e.tell(it, o)
	}
	it.effect, it.exited = nil, nil
	ordered := it.handler.Policy.Ordered
	switch {
	case s.lost:
		s.release(it)
	case o.parked != nil:
		s.park(it, o.parked)
		s.passed(it) // nobody here learns when it is done
	case ordered && o.dead && it.look:
		it.look = false
		e.back(it)
	case ordered && o.dead:
		s.stopAt(it, true)
	case o.decided:
		s.finish(it)
		s.passed(it)
	case !o.due.IsZero():
		attempted := o.wrote || o.tried || s.stops[it.target] != nil && s.stops[it.target].head == it
		it.due = o.due
		if ordered && attempted {
			s.stopAt(it, false)
		} else {
			s.wait(it)
			s.passed(it) // a target that goes on does not wait for it
		}
	default:
		e.back(it)
	}
}

// fault lets targets wait after the store failed their batch. No step is to
// blame, so none counts an attempt, and their order stays. From then on each
// goes alone, until one went well.
func (e *engine) fault(b *batch, groups []*group, err error) {
	switch {
	case e.work.Err() != nil:
	case errors.Is(err, errAgain):
		for _, g := range groups {
			e.putBack(g)
			e.queues.free(g.queue)
		}
		return
	case errors.Is(err, errExited): // this counts with the next batch
		e.Logger.Error("a handler has ended its goroutine", "shard", b.shard)
	case errors.Is(err, eventlog.ErrConflict): // the store is not to blame either
		e.Logger.Warn("a batch met others each time; it is tried again", "shard", b.shard, "err", err)
	default:
		e.trouble("the store failed a batch; it is tried again", b.shard, err)
	}
	for _, g := range groups {
		q := g.queue
		e.putBack(g)
		q.faults++
		wait := faults.delay(q.faults)
		e.do(func(ctx context.Context) func() {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			return func() { e.queues.free(q) }
		})
	}
}

// tell reports an outcome that is durable.
func (e *engine) tell(it *item, o outcome) {
	info := StepInfo{Shard: it.src.shard, Type: it.handler.Type, Outcome: StepDone, Attempt: o.attempt, Age: e.Log.Now().Sub(it.time), Duration: o.took, Err: o.err}
	if it.due.After(it.time) && it.due.Before(e.Log.Now()) {
		info.Age = e.Log.Now().Sub(it.due)
	}
	args := []any{"type", it.typ, "step", it.id, "target", it.target, "attempt", o.attempt, "err", o.err}
	switch {
	case o.expired:
		info.Outcome = StepExpired
		e.Logger.Error("a step has expired", args...)
	case o.dead:
		info.Outcome = StepDead
		e.Logger.Error("a step has failed for good: dead letter", args...)
	case o.decided && o.attempt > 0:
		info.Outcome = StepRefused
		e.Logger.Info("a step was refused; its handler has done the rest", args...)
	case o.attempt > 0:
		info.Outcome = StepFailed
		e.Logger.Warn("a step failed and is tried again", append(args, "due", o.due)...)
	}
	e.Hooks.step(info)
}
