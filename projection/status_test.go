package projection_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func TestStatusLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		r := &sqlsink.Runner{Log: log, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}}
		status := func() projection.Status {
			t.Helper()
			list, err := r.Status(t.Context(), "bank")
			if err != nil || len(list) != 1 || len(list[0].Shards) != 1 {
				t.Fatalf("status %+v, %v", list, err)
			}
			return list[0]
		}
		appendTo(t, log, account(0), Opened{"Ada"}, Posted{1})
		time.Sleep(90 * time.Second)
		appendTo(t, log, account(0), Posted{2})
		time.Sleep(10 * time.Second)
		s := status()
		if sh := s.Shards[0]; s.Held != 0 || sh.Commits != 2 || sh.Events != 3 || s.Lag().Round(time.Second) != 100*time.Second {
			t.Errorf("before: %+v, lag %v", s, s.Lag())
		}
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = status()
		if sh := s.Shards[0]; s.Held != 1 || sh.Commits != 0 || sh.Events != 0 || s.Lag() != 0 || sh.Handled != 3 || !s.Healthy() {
			t.Errorf("after: %+v", s)
		}
		for i := range 1500 {
			appendTo(t, log, account(0), Posted{int64(i)}, Closed{})
		}
		s = status()
		if sh := s.Shards[0]; sh.Commits != 1500 || sh.Events != 3000 {
			t.Errorf("far behind: %+v", s)
		}
	})
}

// What is being retried shows, and goes away.
func TestStatusOfTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		down := true
		s := newFaulty(newSink(t), func() fault {
			if down {
				return refuse
			}
			return none
		}, nil)
		r := &sqlsink.Runner{Log: log, Sink: s, Projections: []sqlsink.Projection{bank()}}
		stop := start(t, r)
		p := appendTo(t, log, account(0), Opened{"Ada"})
		time.Sleep(time.Hour) // it does not give up
		synctest.Wait()
		list, err := r.Status(t.Context())
		if err != nil || list[0].Healthy() || !errors.Is(list[0].Shards[0].Err, errFault) {
			t.Errorf("while the sink is down: %+v, %v", list, err)
		}
		down = false
		if err := r.WaitFor(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if list, err := r.Status(t.Context()); err != nil || !list[0].Healthy() {
			t.Errorf("after: %+v, %v", list, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
