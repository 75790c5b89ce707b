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

// A Status is an instance as it stood at a position.
type Status[S any] struct {
	ID      string
	State   State
	Data    S         // as the last step left it
	Done    []string  // steps that are done and not undone, in order
	Refused string    // the step that was refused, if one was
	Err     error     // why
	Started time.Time //
	Changed time.Time // last
	At      eventlog.Position
}

// ErrNotFound: no instance of this id was started.
var ErrNotFound = errors.New("no such saga instance")

// Status returns where an instance stands, or ErrNotFound.
func (s *Saga[S]) Status(ctx context.Context, l *eventlog.Log, id string) (Status[S], error) {
	return s.status(ctx, l, id, false)
}

// Await waits until an instance has ended and returns its status then. It
// follows the log: a [outbox.Runner] must run somewhere. An instance that was
// not started yet is ErrNotFound.
func (s *Saga[S]) Await(ctx context.Context, l *eventlog.Log, id string) (Status[S], error) {
	if st, err := s.status(ctx, l, id, false); err != nil || st.State.Ended() {
		return st, err
	}
	return s.status(ctx, l, id, true)
}

// Instances yields all instances, under way and ended, in the order of their
// ids.
func (s *Saga[S]) Instances(ctx context.Context, l *eventlog.Log) iter.Seq2[Status[S], error] {
	return func(yield func(Status[S], error) bool) {
		for info, err := range l.Streams(ctx, s.prefix()) {
			var st Status[S]
			if err == nil {
				st, err = s.status(ctx, l, strings.TrimPrefix(info.Stream, s.prefix()), false)
			}
			if !yield(st, err) || err != nil {
				return
			}
		}
	}
}

// status folds an instance's stream to its end, or follows it to the saga's.
func (s *Saga[S]) status(ctx context.Context, l *eventlog.Log, id string, follow bool) (Status[S], error) {
	out := Status[S]{ID: id}
	var i instance
	err := instances.Fold(&i, func(yield func(eventlog.Record, error) bool) {
		for r, err := range l.Read(ctx, eventlog.Query{Stream: s.stream(id), Follow: follow}) {
			if err == nil {
				if r.Version == 1 {
					out.Started = r.Time
				}
				out.Changed, out.At = r.Time, eventlog.Position{}.With(r.Shard, r.Revision)
			}
			if !yield(r, err) || follow && i.State.Ended() {
				return
			}
		}
	})
	if err == nil && i.State == "" {
		err = ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal([]byte(i.Data), &out.Data)
	}
	if err != nil {
		return out, fmt.Errorf("saga: %s/%s: %w", s.Name, id, err)
	}
	out.State, out.Done, out.Refused = i.State, i.Done, i.Refused
	if i.Err != "" {
		out.Err = errors.New(i.Err)
	}
	return out, nil
}
