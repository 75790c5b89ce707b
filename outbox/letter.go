package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A Letter is a step that is a dead letter, or was one, with what happened to it.
type Letter struct {
	Info
	History []Entry // its last entry says what became of the step so far
}

// An Entry is something that happened to a step.
type Entry struct {
	Time    time.Time
	What    string          // failed, dead, redriven, discarded, cancelled or done
	Attempt int             // failed, dead: which one; 0: of none
	Err     string          // failed, dead: why; done: why the handler's Failed did the rest
	Due     time.Time       // failed: of the next attempt
	By, Why string          // redriven, discarded: the Decision
	Data    json.RawMessage // redriven: the payload from then on, if it was edited
}

// ErrNoLetter: no step of this id ever was a dead letter.
var ErrNoLetter = errors.New("no such dead letter")

// ReadLetter returns the dead letter of a step, also when it was decided on long
// ago, or ErrNoLetter.
func ReadLetter(ctx context.Context, l *eventlog.Log, id eventlog.ID) (Letter, error) {
	out, err := readLetter(ctx, l, id)
	if err != nil {
		return out, fmt.Errorf("outbox: step %s: %w", id, err)
	}
	return out, nil
}

func readLetter(ctx context.Context, l *eventlog.Log, id eventlog.ID) (out Letter, err error) {
	d := letter{id: id}
	found, over := false, false
	for r, err := range l.Read(ctx, eventlog.Query{Tag: stepTag(id)}) {
		var e Entry
		if err == nil {
			e, err = entryOf(&r)
		}
		if err == nil && r.Type == typeDead {
			found, d.at = true, r.Time
			err = r.Decode(&d.dead)
		}
		if err != nil {
			return out, err
		}
		if over = r.Type == typeDead; e.Data != nil {
			d.data = e.Data
		}
		out.History = append(out.History, e)
	}
	switch {
	case !found:
		return out, ErrNoLetter
	case over:
		list, err := describeDead(ctx, l, []letter{d})
		if err == nil {
			out.Info = list[0]
		}
		return out, err
	}
	for r, err := range readSteps(ctx, l, d.Shard, []uint64{d.Version}) {
		if err == nil {
			out.Info, _, err = describe(ctx, l, &r)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// entryOf reads an event under a step's tag.
func entryOf(r *eventlog.Record) (Entry, error) {
	e := Entry{Time: r.Time}
	switch r.Type {
	case typeFailed:
		var f failed
		err := r.Decode(&f)
		e.What, e.Attempt, e.Err, e.Due = "failed", f.Attempt, f.Error, f.Due
		return e, err
	case typeDead:
		var d dead
		err := r.Decode(&d)
		e.What, e.Attempt, e.Err = "dead", d.Attempts, d.Error
		return e, err
	case typeRedriven, typeDiscarded:
		var v verdict
		err := r.Decode(&v)
		e.What, e.By, e.Why, e.Data = "redriven", v.By, v.Why, v.Data
		if r.Type == typeDiscarded {
			e.What = "discarded"
		}
		return e, err
	case typeDone, typeRolled:
		var d done
		err := r.Decode(&d)
		e.What, e.Err = "done", d.Error
		return e, err
	case typeCancelled:
		e.What = "cancelled"
		return e, nil
	}
	return e, fmt.Errorf("%w: %s in %s", eventlog.ErrUnknownType, r.Type, r.Stream)
}
