package remotelog

import "github.com/rollforward/rollforward/eventlog/driver"

// refusal makes that of a Write that comes too late. ok is false when it has to wait
// until what is under way is decided: it cannot be told of it.
func (t *turns) refusal(wt *waiter, refused int) (e *driver.TailError, ok bool) {
	b := &wt.write.Batches[refused]
	e = &driver.TailError{Shard: b.Shard, Tail: t.lane(b.Shard).tail}
	t.asked++
	room := toldNews
	e.News, e.Ahead = make([]driver.Batch, 0, len(wt.party.known)), make([]driver.Flight, 0, len(wt.party.known))
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lane(b.Shard)
		ln.asked = t.asked
		if ln.knows(b) {
			t.tell(e, wt, b.Shard, b.First, &room)
		}
		if told := len(e.Ahead) > 0 && e.Ahead[len(e.Ahead)-1].Batch.Shard == b.Shard; ln.flights > 0 && !told {
			return nil, false
		}
	}
	for shard, rev := range wt.party.known { // it is likely to want them next
		if ln := t.lanes[shard]; ln == nil {
			delete(wt.party.known, shard)
		} else if ln.asked != t.asked {
			t.tell(e, wt, shard, rev+1, &room)
		}
	}
	return e, true
}

// tell adds to a refusal what is new in a shard from a revision on, as far as it is
// kept and there is room.
func (t *turns) tell(e *driver.TailError, wt *waiter, shard int, first driver.Revision, room *int) {
	ln := t.lane(shard)
	if first <= ln.tail+1 {
		if commits, ok := ln.recent.from(first, ln.tail); ok && costs(commits) <= *room {
			*room -= costs(commits)
			e.News = append(e.News, driver.Batch{Shard: shard, First: first, Commits: commits})
			wt.party.known[shard] = ln.tail
		} else if first <= ln.tail {
			return
		}
	}
	if ln.flights == 0 || !t.chains || !wt.write.TakesAhead {
		return
	}
	e.Ahead, _ = ln.recent.flights(e.Ahead, shard, max(first, ln.tail+1), ln.ahead, room)
}
