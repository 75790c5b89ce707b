package outbox

import (
	"slices"
	"strings"
)

// A queue holds the items of one target in their order. At most one batch of it
// is under way.
type queue struct {
	target string
	shard  int // the target's
	slot   int // where it is ready: its shard, or behind all shards for an Effect
	items  []*item
	busy   bool // a batch is under way, or the store failed it and it waits
	listed bool // among the ready ones
	faults int  // batches in a row that the store failed; it then goes alone
}

// laneOf returns the first segment of a target's name. What has no slash is a
// lane of its own, whose name has none either, so that "a" and "a/b" differ.
func laneOf(target string) string {
	if i := strings.IndexByte(target, '/'); i >= 0 {
		return target[:i+1]
	}
	return target
}

// queues are the items in hand by target, and which targets can go next: the
// shards in turn, in each the lanes in turn, in each the targets as they came, or
// by priority.
type queues struct {
	byTarget map[string]*queue
	shards   int
	ready    []readyShard // first those of the shards, then those of their Effects
	next     int          // whose turn it is
	count    int          // ready targets
	seq      uint64
}

type readyShard struct {
	lanes  []*readyLane // the next one first
	byName map[string]*readyLane
}

type readyLane struct {
	name   string
	queues []*queue // by the priority of their first item
}

func newQueues(shards int) *queues {
	qs := &queues{byTarget: make(map[string]*queue), ready: make([]readyShard, 2*shards), shards: shards}
	for s := range qs.ready {
		qs.ready[s].byName = make(map[string]*readyLane)
	}
	return qs
}

// add puts an item into the queue of its target, in order. A new one is the last
// of its priority, but for later ones of its source.
func (qs *queues) add(it *item, shard int) {
	if it.seq == 0 {
		qs.seq++
		it.seq = qs.seq
	}
	q := qs.byTarget[it.target]
	if q == nil {
		q = &queue{target: it.target, shard: shard}
		qs.byTarget[it.target] = q
	}
	at := q.place(it)
	q.items = slices.Insert(q.items, at, it)
	if at == 0 {
		qs.unlist(q) // it may have another place now
	}
	qs.list(q)
}

// place returns where an item belongs in the queue.
func (q *queue) place(it *item) int {
	at := len(q.items)
	for i, o := range slices.Backward(q.items) {
		switch {
		case it.before(o) && (at == i+1 || o.src == it.src):
			at = i
		case o.src == it.src:
			return at
		}
	}
	return at
}

// list makes a target ready.
func (qs *queues) list(q *queue) {
	if q.busy || q.listed || len(q.items) == 0 {
		return
	}
	q.listed = true
	qs.count++
	if q.slot = q.shard; q.items[0].handler.Effect != nil {
		q.slot += qs.shards
	}
	s, name := &qs.ready[q.slot], laneOf(q.target)
	l := s.byName[name]
	if l == nil {
		l = &readyLane{name: name}
		s.byName[name], s.lanes = l, append(s.lanes, l)
	}
	at := 0
	for at = len(l.queues); at > 0 && l.queues[at-1].items[0].priority() < q.items[0].priority(); at-- {
	}
	l.queues = slices.Insert(l.queues, at, q)
}

// unlist takes a target out of the ready ones.
func (qs *queues) unlist(q *queue) {
	if !q.listed {
		return
	}
	q.listed = false
	qs.count--
	s := &qs.ready[q.slot]
	l := s.byName[laneOf(q.target)]
	l.queues = slices.DeleteFunc(l.queues, func(o *queue) bool { return o == q })
	if len(l.queues) == 0 {
		delete(s.byName, l.name)
		s.lanes = slices.DeleteFunc(s.lanes, func(o *readyLane) bool { return o == l })
	}
}

// take removes the first target of the lane whose turn it is in a shard, if fits
// approves of it. The lane is the last one then.
func (qs *queues) take(slot int, fits func(*queue) bool) *queue {
	s := &qs.ready[slot]
	for i, l := range s.lanes {
		at := slices.IndexFunc(l.queues, fits)
		if at < 0 {
			continue
		}
		q := l.queues[at]
		s.lanes = slices.Delete(s.lanes, i, i+1)
		if at == 0 {
			l.queues = l.queues[1:]
		} else {
			l.queues = slices.Delete(l.queues, at, at+1)
		}
		if len(l.queues) > 0 {
			s.lanes = append(s.lanes, l)
		} else {
			delete(s.byName, l.name)
		}
		q.listed, q.busy = false, true
		qs.count--
		return q
	}
	return nil
}

// turn returns the next place with a ready target that passes ok, -1 without one.
func (qs *queues) turn(ok func(slot int) bool) int {
	for range qs.ready {
		s := qs.next
		qs.next = (qs.next + 1) % len(qs.ready)
		if len(qs.ready[s].lanes) > 0 && ok(s) {
			return s
		}
	}
	return -1
}

// cut removes the items of the next batch from a queue: at most n of them and
// about maxBytes. An Effect goes alone.
func (q *queue) cut(n, maxBytes int) []*item {
	size, k := 0, 0
	for k < min(n, len(q.items)) {
		if q.items[k].handler.Effect != nil && k > 0 {
			break
		}
		size += q.items[k].length
		if k++; size >= maxBytes || q.items[k-1].handler.Effect != nil {
			break
		}
	}
	items := slices.Clone(q.items[:k])
	q.items = slices.Delete(q.items, 0, k)
	return items
}

// free lets the next batch of q go.
func (qs *queues) free(q *queue) {
	q.busy = false
	qs.list(q)
	qs.forget(q)
}

// forget drops an empty queue.
func (qs *queues) forget(q *queue) {
	if len(q.items) == 0 && !q.busy {
		qs.unlist(q)
		delete(qs.byTarget, q.target)
	}
}

// remove takes the items of a target that match out of their queue.
func (qs *queues) remove(target string, match func(*item) bool) (out []*item) {
	q := qs.byTarget[target]
	if q == nil {
		return nil
	}
	q.items = slices.DeleteFunc(q.items, func(it *item) bool {
		if match(it) {
			out = append(out, it)
			return true
		}
		return false
	})
	if len(out) > 0 {
		qs.unlist(q) // it may have another place now
		qs.list(q)
		qs.forget(q)
	}
	return out
}
