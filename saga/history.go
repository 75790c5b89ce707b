package saga

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// An Entry is a decision in an instance's history.
type Entry struct {
	Time   time.Time
	What   string // started, done, refused, stopping, stopped, undone, parked, retried, signal …
	N      int    // number of the execution that it is about; 0: none
	Step   string // its step
	By     string // who wanted it
	Reason string // and why
	Err    error  // what went wrong
	After  Info   // the instance after it
}

// History yields what happened to an instance, in order, each with the state after
// it. Of one that nobody knows it yields ErrNotFound.
func History(ctx context.Context, l *eventlog.Log, saga, id string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var i instance
		info := Info{Saga: saga, ID: id}
		known := false
		for r, err := range l.Read(ctx, eventlog.Query{Stream: streamOf(saga, id)}) {
			var e event
			if err == nil {
				err = r.Decode(&e)
			}
			if err == nil {
				err = fold(&i, r)
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("saga: history of %s/%s: %w", saga, id, err))
				return
			}
			known = true
			info.pass(&r)
			info.fill(&i)
			if !yield(e.entry(&r, info), nil) {
				return
			}
		}
		if !known {
			yield(Entry{}, fmt.Errorf("saga: history of %s/%s: %w", saga, id, ErrNotFound))
		}
	}
}

func (e *event) entry(r *eventlog.Record, after Info) Entry {
	out := Entry{Time: r.Time, What: strings.TrimPrefix(r.Type, "$saga."), N: e.N, Step: e.Step, By: e.By, Reason: e.Reason, After: after}
	switch {
	case e.Error != "":
		out.Err = errors.New(e.Error)
	case e.Parked != "":
		out.Err = errors.New(e.Parked)
	}
	if r.Type == evNoted {
		out.What = e.What
	}
	return out
}
