package eventlog

import (
	"iter"
	"slices"
)

// written finds a transaction's own events by their stream or tag, once there are
// many.
type written struct {
	last   map[string]int32 // of the events of a stream, from 1
	before []int32          // of each event, the one before it of its stream, from 1; 0: none
	tags   map[string]int   // how many events have it
}

// manyWritten: fewer events are looked through.
const manyWritten = 32

// noteEvent is called behind each event that is appended.
func (tx *Tx) noteEvent() {
	n := len(tx.events)
	switch {
	case tx.written != nil:
		tx.written.add(&tx.events[n-1])
	case n >= manyWritten:
		tx.written = &written{last: make(map[string]int32), tags: make(map[string]int), before: make([]int32, 0, cap(tx.events))}
		for i := range tx.events {
			tx.written.add(&tx.events[i])
		}
	}
}

func (w *written) add(e *event) {
	w.before = append(w.before, w.last[e.stream])
	w.last[e.stream] = int32(len(w.before))
	for _, t := range e.tags {
		w.tags[t]++
	}
}

// drop takes the last event back.
func (w *written) drop(e *event) {
	n := len(w.before) - 1
	w.last[e.stream] = w.before[n]
	w.before = w.before[:n]
	for _, t := range e.tags {
		w.tags[t]--
	}
}

// ownEvents yields the places of the transaction's events of a stream, "" for all,
// behind the first n of all.
func (tx *Tx) ownEvents(stream string, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		if stream == "" || tx.written == nil {
			for i := n; i < len(tx.events); i++ {
				if stream != "" && tx.events[i].stream != stream {
					continue
				}
				if !yield(i) {
					return
				}
			}
			return
		}
		var room [16]int
		places := room[:0]
		for i := int(tx.written.last[stream]) - 1; i >= n; i = int(tx.written.before[i]) - 1 {
			places = append(places, i)
		}
		for _, i := range slices.Backward(places) {
			if !yield(i) {
				return
			}
		}
	}
}

// hasTag reports whether one of the transaction's own events has a tag.
func (tx *Tx) hasTag(tag string) bool {
	if tx.written != nil {
		return tx.written.tags[tag] > 0
	}
	return slices.ContainsFunc(tx.events, func(e event) bool { return slices.Contains(e.tags, tag) })
}
