package outbox

import (
	"context"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A dispatcher rolls the steps of one emitter's shard forward: it reads them
// from the cursor, groups them by target, and hands batches to goroutines of
// its own. Its state belongs to the goroutine that runs it.
type dispatcher struct {
	*engine
	shard int

	loaded bool
	cursor uint64           // versions up to here are decided or open
	open   map[uint64]*item // parked: the cursor passed them
	window []*item          // behind the cursor, in order
	bytes  int              // of the payloads in memory
	next   uint64           // version to read next
	more   bool             // there may be something to read
	misses int              // readings in a row that failed

	queues  *queues
	results chan result
	busy    int   // batches under way
	rolled  int   // outcomes and attempts that were written
	failed  error // the last one of the store

	mark  bookmark
	dirty bool          // the mark is behind
	saves chan saveDone // a save is under way
}

type result struct {
	queue    *queue
	items    []*item
	outcomes []outcome
	err      error // of the store
}

const (
	aheadBytes = 4 << 20   // payloads in memory of a shard, about
	batchBytes = 512 << 10 // payloads of a batch, about
)

func newDispatcher(e *engine, shard int) *dispatcher {
	return &dispatcher{engine: e, shard: shard, open: make(map[uint64]*item), queues: newQueues(),
		results: make(chan result, e.Targets), more: true}
}

// load continues where the cursor stands.
func (d *dispatcher) load(ctx context.Context) error {
	mark, err := readBookmark(ctx, d.Log, d.shard)
	if err != nil {
		return err
	}
	var parked []eventlog.Record
	for r, err := range readSteps(ctx, d.Log, d.shard, mark.Open) {
		if err != nil {
			return err
		}
		parked = append(parked, r)
	}
	for i := range parked {
		it, err := newItem(&parked[i])
		it.parked, it.step = true, nil
		d.open[it.version] = it
		d.sort(it, err)
	}
	d.mark, d.cursor, d.next, d.loaded = mark, mark.At, mark.At+1, true
	return nil
}

// sort queues an item whose type is known; others wait for a runner that knows
// them.
func (d *dispatcher) sort(it *item, unreadable error) {
	if unreadable == nil && d.handlers[it.typ] != nil {
		d.queues.add(it)
		return
	}
	it.waits, it.step = true, nil
	d.unhandled(it, unreadable)
}

// room reports whether there is room to read on beside n items of the window. A
// reading takes whole pages, so it waits until half of the room is free.
func (d *dispatcher) room(n int) bool {
	return n <= d.ReadAhead/2 && d.bytes < aheadBytes/2
}

// read takes the next steps in hand, as many as there is room for.
func (d *dispatcher) read(ctx context.Context) error {
	if !d.loaded {
		if err := d.load(ctx); err != nil {
			return err
		}
	}
	n, limit := 0, d.ReadAhead-len(d.window)
	q := eventlog.Query{Stream: stepsStream(d.shard), From: d.next, Limit: limit}
	for r, err := range d.Log.Read(ctx, q) {
		if err != nil {
			return err
		}
		it, err := newItem(&r)
		d.sort(it, err)
		d.window = append(d.window, it)
		d.bytes += it.size()
		d.next = it.version + 1
		if n++; d.bytes >= aheadBytes {
			return nil // and there may be more
		}
	}
	d.more, d.misses = n == limit, 0
	return nil
}

// start hands the next batch to a goroutine. The caller has taken a slot, which
// the goroutine gives back.
func (d *dispatcher) start(ctx context.Context) {
	q, items := d.queues.next(d.Batch, batchBytes)
	d.busy++
	b := &batch{log: d.Log, handlers: d.handlers, shard: d.Log.ShardOf(q.target)}
	for _, it := range items {
		b.items = append(b.items, pending{it, it.step})
	}
	go func() {
		outcomes, err := b.roll(ctx)
		<-d.slots
		d.results <- result{q, items, outcomes, err}
	}()
}

// settle takes in what became of a batch.
func (d *dispatcher) settle(r result) {
	d.busy--
	if r.err != nil {
		d.putBack(r)
		return
	}
	r.queue.faults = 0
	for i, it := range r.items {
		var o outcome // of those not reached: the batch was too large
		if i < len(r.outcomes) {
			o = r.outcomes[i]
		}
		if o.wrote {
			d.rolled++
			d.report(it, o)
		}
		switch {
		case o.decided:
			d.drop(it)
			it.decided = true
			if it.parked {
				delete(d.open, it.version)
				d.dirty = true
			}
		case !o.due.IsZero():
			d.drop(it)
			it.waits = true
			d.queues.wait(alarm{due: o.due, item: it})
		default:
			d.queues.add(it)
		}
	}
	d.queues.free(r.queue)
}

// putBack lets a target wait after the store failed its batch. No step is to
// blame, so none counts an attempt, and their order stays.
func (d *dispatcher) putBack(r result) {
	for _, it := range r.items {
		d.queues.add(it)
	}
	d.failed = r.err
	r.queue.faults++
	d.Logger.Warn("the store failed a batch; it is tried again", "shard", d.shard, "target", r.queue.target, "steps", len(r.items), "err", r.err)
	d.queues.wait(alarm{due: d.Log.Now().Add(faults.delay(r.queue.faults)), queue: r.queue})
}

// faults says how to go on after errors of the store.
var faults = Policy{Backoff: 20 * time.Millisecond, MaxBackoff: 5 * time.Second}

// drop forgets an item's payload.
func (d *dispatcher) drop(it *item) {
	d.bytes -= it.size()
	it.step = nil
}

// advance moves the cursor over what is decided, and over what must wait, which
// it remembers as open. When no target can go and there is no room to read on,
// it makes some by parking what is queued behind busy targets: no target holds
// up the others.
func (d *dispatcher) advance() {
	starving := d.more && len(d.queues.ready) == 0
	n := 0
	for _, it := range d.window {
		if !it.decided {
			crowd := starving && !d.room(len(d.window)-n)
			if !it.waits && !crowd || len(d.open) >= d.maxOpen {
				break
			}
			if d.bytes >= aheadBytes/2 {
				d.drop(it)
			}
			it.parked = true
			d.open[it.version] = it
		}
		d.cursor = it.version
		n++
	}
	if n > 0 {
		d.window = slices.Clone(d.window[n:])
		d.dirty = true
	}
}

// known is what the dispatcher can say about its shard.
func (d *dispatcher) known() cursor {
	c := cursor{At: d.cursor}
	for v := range d.open {
		c.Open = append(c.Open, v)
	}
	slices.Sort(c.Open)
	return c
}
