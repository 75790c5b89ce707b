package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// An Info is an instance as it stood at a position, without the type of its data.
type Info struct {
	Saga, ID string
	Version  int             // of the definition
	State    State           //
	Step     string          // that is under way, "": none
	Done     []string        // executions that are done and not undone, in order; of steps with nothing to undo the last one
	Refused  string          // the step that was refused or took too long, if one was
	Cause    Cause           // why it goes back, or went
	Err      error           // the same in words, or why it is Parked
	Data     json.RawMessage // as the last step left it
	Chain    eventlog.ID     // to which its steps belong, see Trace
	Parent   string          // stream of the instance whose child it is
	Started  time.Time       //
	Changed  time.Time       // last
	At       eventlog.Position

	Due      time.Time // of the timer that runs: the end of a wait, or of the step's Timeout
	Signal   string    // that is waited for
	Children int       // of the step under way: that were started
	Ended    int       // of these
}

// A Status is an Info with the data.
type Status[S any] struct {
	Info
	Data S
}

// ErrNotFound: no instance of this id was started.
var ErrNotFound = errors.New("no such saga instance")

// Status returns where an instance stands, or ErrNotFound.
func (s *Saga[S]) Status(ctx context.Context, l *eventlog.Log, id string) (Status[S], error) {
	return s.status(Show(ctx, l, s.Name, id))
}

// Await waits until an instance has ended and returns its status then. It
// follows the log: a [outbox.Runner] must run somewhere. An instance that was
// not started yet is ErrNotFound.
func (s *Saga[S]) Await(ctx context.Context, l *eventlog.Log, id string) (Status[S], error) {
	w := watch{out: Info{Saga: s.Name, ID: id}}
	if err := w.read(ctx, l, false); err != nil || w.i.State.Ended() {
		return s.status(w.out, err)
	}
	return s.status(w.out, w.read(ctx, l, true))
}

// Instances yields all instances, under way and ended, in the order of their
// ids.
func (s *Saga[S]) Instances(ctx context.Context, l *eventlog.Log) iter.Seq2[Status[S], error] {
	return func(yield func(Status[S], error) bool) {
		for i, err := range List(ctx, l, s.Name) {
			if i.State == Awaited {
				continue
			}
			if st, err := s.status(i, err); !yield(st, err) || err != nil {
				return
			}
		}
	}
}

// status decodes the data, that of earlier versions as today's S.
func (s *Saga[S]) status(i Info, err error) (Status[S], error) {
	st := Status[S]{Info: i}
	if err != nil {
		return st, err
	}
	if i.Data != nil {
		err = s.decodeAny(i.Version, i.Data, &st.Data)
	}
	if err != nil {
		err = fmt.Errorf("saga: %s/%s: %w", s.Name, i.ID, err)
	}
	return st, err
}

func (s *Saga[S]) decodeAny(version int, stored []byte, to *S) (err error) {
	for _, m := range s.Migrations {
		if m.From == version {
			if stored, err = m.convert(stored); err != nil {
				return err
			}
		}
	}
	return json.Unmarshal(stored, to)
}

// List yields all instances of a saga, or of all sagas when saga is "", in the order
// of sagas and ids, also those that only signals came for ([Awaited]).
func List(ctx context.Context, l *eventlog.Log, saga string) iter.Seq2[Info, error] {
	prefix := streamPrefix
	if saga != "" {
		prefix = streamOf(saga, "")
	}
	return func(yield func(Info, error) bool) {
		for info, err := range l.Streams(ctx, prefix) {
			var i Info
			if err == nil {
				saga, id, _ := strings.Cut(strings.TrimPrefix(info.Stream, streamPrefix), "/")
				i, err = Show(ctx, l, saga, id)
				if errors.Is(err, ErrNotFound) && i.State == Awaited {
					err = nil
				}
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

// Show returns where an instance stands, or ErrNotFound.
func Show(ctx context.Context, l *eventlog.Log, saga, id string) (Info, error) {
	w := watch{out: Info{Saga: saga, ID: id}}
	err := w.read(ctx, l, false)
	return w.out, err
}

// watch folds an instance's stream.
type watch struct {
	i       instance
	version uint64 // that was read
	out     Info
}

// read goes on to the end of the stream, or follows it to the instance's.
func (w *watch) read(ctx context.Context, l *eventlog.Log, follow bool) (err error) {
	q := eventlog.Query{Stream: streamOf(w.out.Saga, w.out.ID), From: w.version + 1, Follow: follow}
	for r, err := range l.Read(ctx, q) {
		if err == nil {
			err = fold(&w.i, r)
		}
		if err != nil {
			w.out.fill(&w.i)
			return fmt.Errorf("saga: %s/%s: %w", w.out.Saga, w.out.ID, err)
		}
		w.version = r.Version
		w.out.pass(&r)
		if follow && w.i.State.Ended() {
			break
		}
	}
	w.out.fill(&w.i)
	if w.i.State == "" {
		return fmt.Errorf("saga: %s/%s: %w", w.out.Saga, w.out.ID, ErrNotFound)
	}
	return nil
}

// pass notes the place and the time of an event.
func (o *Info) pass(r *eventlog.Record) {
	if r.Type == evStarted {
		o.Started = r.Time
	}
	o.Changed, o.At = r.Time, eventlog.Position{}.With(r.Shard, r.Revision)
}

// fill takes over what is folded.
func (o *Info) fill(i *instance) {
	o.Version, o.State, o.Refused, o.Cause, o.Chain = i.Version, i.state(), i.Refused, i.Cause, i.Chain
	o.Done = nil
	for _, m := range i.Done {
		o.Done = append(o.Done, m.Step)
	}
	o.Err = nil
	if text := i.Err; text != "" || i.Parked != "" {
		if o.State == Parked {
			text = i.Parked
		}
		o.Err = known(text)
	}
	o.Data = nil
	if i.Data != "" {
		o.Data = json.RawMessage(i.Data)
	}
	o.Parent = ""
	if i.Parent != nil {
		o.Parent = streamOf(i.Parent.Saga, i.Parent.ID)
	}
	o.under(i.Cur)
}

// known returns the error that a stored text stands for.
func known(text string) error {
	for _, err := range []error{ErrTimeout, ErrDeadline} {
		if text == err.Error() {
			return err
		}
	}
	return errors.New(text)
}

// under takes over what is under way.
func (o *Info) under(r *run) {
	o.Step, o.Signal, o.Due, o.Children, o.Ended = "", "", time.Time{}, 0, 0
	if r == nil {
		return
	}
	o.Step, o.Signal = r.Step, r.Signal
	if r.Due != nil {
		o.Due = *r.Due
	}
	if r.Fan != nil {
		o.Children, o.Ended = r.Fan.Count, r.Fan.NOK+r.Fan.NBad
	}
}
