package saga

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
)

// A Difference is a decision of a recorded instance that today's definition would
// make otherwise.
type Difference struct {
	Saga, ID string
	Version  uint64 // of the event in the instance's stream
	What     string // done, refused …
	Step     string //
	Recorded string // what followed
	Now      string // what would
}

// String says it in a line.
func (d Difference) String() string {
	what := strings.TrimSpace(d.What + " " + d.Step)
	return fmt.Sprintf("%s/%s at event %d, %s: recorded: %s; now: %s", d.Saga, d.ID, d.Version, what, d.Recorded, d.Now)
}

// Replay runs the recorded instances of a saga through a definition: at each of their
// decisions it asks what would follow today, given that all before it was as recorded.
// What changes do and calls answer is taken from the record. It yields what differs;
// data that the definition cannot read, or of which it would lose something, too. An
// instance is run by its own version, if d names that. Nothing is written.
func Replay(ctx context.Context, l *eventlog.Log, d Definition) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		e, err := newEngine(d)
		if err != nil {
			yield(Difference{}, err)
			return
		}
		for info, err := range l.Streams(ctx, streamOf(e.name, "")) {
			var list []Difference
			if err == nil {
				list, err = e.replay(ctx, l, info.Stream)
			}
			if err != nil {
				yield(Difference{}, fmt.Errorf("saga: replay: %w", err))
				return
			}
			for _, diff := range list {
				if !yield(diff, nil) {
					return
				}
			}
		}
	}
}

// errDry ends transactions that shall write nothing.
var errDry = errors.New("nothing is to be written")

// replay runs one instance.
func (e *engine) replay(ctx context.Context, l *eventlog.Log, stream string) (list []Difference, err error) {
	var i instance
	for r, err := range l.Read(ctx, eventlog.Query{Stream: stream}) {
		var ev event
		if err == nil {
			err = r.Decode(&ev)
		}
		if err != nil {
			return nil, err
		}
		diff, err := e.compare(ctx, l, i.Clone(), &r, &ev)
		if err != nil {
			return nil, err
		}
		list = append(list, diff...)
		if err := fold(&i, r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compare makes the decision of a record again.
func (e *engine) compare(ctx context.Context, l *eventlog.Log, before instance, r *eventlog.Record, recorded *event) (list []Difference, err error) {
	_, id, _ := splitStream(r.Stream)
	differs := func(was, now string) {
		if was != now {
			list = append(list, Difference{e.name, id, r.Version, strings.TrimPrefix(r.Type, "$saga."), recorded.Step, was, now})
		}
	}
	_, err = l.Update(ctx, func(tx *eventlog.Tx) error {
		list = nil
		d := &decision{engine: e, tx: tx, stream: r.Stream, id: id, i: &before}
		again := *recorded
		again.Next, again.Via, again.Parked, again.End = nil, nil, "", ""
		if was, now, err := d.again(r.Type, &again, recorded); err != nil {
			return err
		} else {
			differs(was, now)
		}
		return errDry
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return list, err
}

// again decides again, and says what followed and what follows now.
func (d *decision) again(typ string, e, recorded *event) (was, now string, err error) {
	version := d.i.Version
	if typ == evStarted {
		version = e.V
	}
	var m *migration
	if d.prog, m, err = d.find(version); err != nil {
		return recorded.outcome(m), err.Error(), nil
	}
	if m == nil && typ == evDone && e.Name != "" {
		if was, now := d.hearAgain(e); was != now {
			return was, now, nil
		}
	}
	if err := d.note(typ, e); err != nil {
		return "", "", err
	}
	if m != nil {
		if err := d.migrate(m); err != nil || d.lost != nil {
			return "data " + d.i.Data, fmt.Sprint(d.lost), err
		}
	}
	if was, now := d.lossless(); was != now {
		return was, now, nil
	}
	switch typ {
	case evStarted, evDone, evRefused, evStopped, evUndone, evReverted, evRetried:
	default:
		return "", "", nil
	}
	if e.Back != "" || d.i.State == Compensating {
		err = d.goBack(typ, e)
	} else {
		err = d.forward(typ, e)
	}
	return recorded.outcome(m), e.outcome(nil), err
}

// outcome says what follows from an event, but for numbers and times, with the names
// that steps have after m.
func (e *event) outcome(m *migration) string {
	switch n := e.Next; {
	case n != nil && n.Of != 0:
		return "undo " + m.rename(n.Step)
	case n != nil:
		s := fmt.Sprintf("%s step %s", n.Kind, strings.Join(append(e.Via[:len(e.Via):len(e.Via)], m.rename(n.Step)), ", "))
		for _, part := range []string{n.On, n.Signal, n.Saga} {
			if part != "" {
				s += " on " + part
			}
		}
		if n.Need > 0 {
			s += fmt.Sprint(", needs ", n.Need)
		}
		return s
	case e.End != "":
		return string(e.End)
	case e.Parked != "":
		return "parked: " + e.Parked
	}
	return "nothing"
}

// hearAgain gives the receiver a recorded signal.
func (d *decision) hearAgain(e *event) (was, now string) {
	step, err := d.step(e.Step)
	if err != nil {
		return "a signal step", err.Error()
	}
	k := d.i.hold(e.Name)
	data, err := d.state()
	if k < 0 || err != nil {
		return "", ""
	}
	err = guard(func() error { return step.receive(data, []byte(d.i.Held[k].Data)) })
	stored, err2 := encode(data)
	d.data = nil
	if err := errors.Join(err, err2); err != nil {
		return "data " + string(e.Data), err.Error()
	}
	return "data " + string(e.Data), "data " + string(stored)
}

// lossless compares the data with what the definition makes of it.
func (d *decision) lossless() (was, now string) {
	if d.i.Data == "" {
		return "", ""
	}
	was = "data " + d.i.Data
	data, err := d.prog.decode([]byte(d.i.Data))
	if err != nil {
		return was, err.Error()
	}
	stored, err := encode(data)
	if err != nil {
		return was, err.Error()
	}
	return was, "data " + string(stored)
}
