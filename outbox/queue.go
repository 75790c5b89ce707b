package outbox

import (
	"container/heap"
	"slices"
	"time"
)

// A queue holds the pending items of one target in their order. At most one
// batch of it is under way.
type queue struct {
	target string
	items  []*item
	busy   bool // a batch is under way, or the store failed it and it waits
	listed bool // among the ready ones
	faults int  // batches in a row that the store failed
}

// queues are the pending items of a dispatcher by target, and which targets can
// go next, first come first served.
type queues struct {
	byTarget map[string]*queue
	ready    []*queue
	waiting  alarms
}

func newQueues() *queues { return &queues{byTarget: make(map[string]*queue)} }

// add puts an item into the queue of its target, in order.
func (qs *queues) add(it *item) {
	q := qs.byTarget[it.target]
	if q == nil {
		q = &queue{target: it.target}
		qs.byTarget[it.target] = q
	}
	at := len(q.items)
	for at > 0 && q.items[at-1].version > it.version {
		at--
	}
	q.items = slices.Insert(q.items, at, it)
	qs.list(q)
}

func (qs *queues) list(q *queue) {
	if !q.busy && !q.listed && len(q.items) > 0 {
		q.listed = true
		qs.ready = append(qs.ready, q)
	}
}

// next takes the items of the next batch, at most n of them and about maxBytes.
func (qs *queues) next(n, maxBytes int) (*queue, []*item) {
	q := qs.ready[0]
	qs.ready = qs.ready[1:]
	q.listed, q.busy = false, true
	size, k := 0, 0
	for k < min(n, len(q.items)) {
		size += q.items[k].size()
		if k++; size >= maxBytes {
			break
		}
	}
	items := slices.Clone(q.items[:k])
	q.items = slices.Delete(q.items, 0, k)
	return q, items
}

// free lets the next batch of q go.
func (qs *queues) free(q *queue) {
	q.busy = false
	qs.list(q)
	if len(q.items) == 0 {
		delete(qs.byTarget, q.target)
	}
}

// wait adds an alarm.
func (qs *queues) wait(a alarm) { heap.Push(&qs.waiting, a) }

// due says when the next alarm is.
func (qs *queues) due() (t time.Time, ok bool) {
	if len(qs.waiting) == 0 {
		return t, false
	}
	return qs.waiting[0].due, true
}

// wake lets go of what is due.
func (qs *queues) wake(now time.Time) {
	for len(qs.waiting) > 0 && !qs.waiting[0].due.After(now) {
		a := heap.Pop(&qs.waiting).(alarm)
		if a.item != nil {
			a.item.waits = false
			qs.add(a.item)
		} else {
			qs.free(a.queue)
		}
	}
}

// An alarm is an item, or a queue, that waits for its time.
type alarm struct {
	due   time.Time
	item  *item
	queue *queue
}

type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	old := *a
	n := len(old) - 1
	x := old[n]
	old[n] = alarm{}
	*a = old[:n]
	return x
}
