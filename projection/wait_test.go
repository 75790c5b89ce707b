package projection_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/sys"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func TestRestartContinues(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	path := filepath.Join(t.TempDir(), "read.db")
	handled := 0
	count := picky("p", func(eventlog.Record, Posted) error {
		handled++
		return nil
	})
	for life := 1; life <= 3; life++ {
		for i := range 10 {
			appendTo(t, log, account(i%accounts), Posted{int64(i)})
		}
		sink := openSink(t, path)
		r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{count}}
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		if handled != 10*life {
			t.Errorf("after life %d: %d events handled, want %d", life, handled, 10*life)
		}
	}
}

// WaitFor gives a writer its own writes back, also from another process than the
// one that runs the projections.
func TestWaitForFromAnotherProcess(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	path := filepath.Join(t.TempDir(), "read.db")
	start(t, &sqlsink.Runner{Log: log, Sink: openSink(t, path), Projections: []sqlsink.Projection{bank()}})
	sink := openSink(t, path)
	here := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
	if err := here.WaitFor(t.Context(), appendTo(t, log, account(0), Opened{"Ada"}, Posted{5})); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, sink), "account/0 Ada 5 \naccount/0 2 5 5\n"; got != want {
		t.Errorf("read model\n%swant\n%s", got, want)
	}
}

func TestWaitForEnds(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	p := appendTo(t, log, account(0), Opened{"Ada"})
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := r.WaitFor(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a run: %v", err)
	}
	if err := r.WaitFor(t.Context(), eventlog.Position{}); err != nil {
		t.Errorf("for nothing: %v", err)
	}
	if err := r.WaitFor(t.Context(), p, "nobody"); !errors.Is(err, projection.ErrUnknownProjection) {
		t.Errorf("for an unknown one: %v", err)
	}
	start(t, r)
	if err := r.WaitFor(t.Context(), p, "bank"); err != nil {
		t.Errorf("with a run: %v", err)
	}
}

// Commits that no handler knows, also those without any event, are covered like
// the others. They move the checkpoint a while later, together.
func TestCommitsWithoutEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		sink := newSink(t)
		applied := 0
		counted := newFaulty(sink, func() fault {
			applied++
			return none
		}, nil)
		r := &sqlsink.Runner{Log: log, Sink: counted, Projections: []sqlsink.Projection{bank()}}
		start(t, r)
		names := eventlog.Table[string]{Name: "names"}
		var p eventlog.Position
		for range 50 {
			for _, fn := range []func(tx *eventlog.Tx) error{
				func(tx *eventlog.Tx) error { return tx.Append(account(0), Closed{}) },
				func(tx *eventlog.Tx) error { return tx.Append("$other/0", sys.Event{Type: "x", Data: []byte("{}")}) },
				func(tx *eventlog.Tx) error { return names.Put(tx, "a", "b") },
			} {
				var err error
				if p, err = log.Update(t.Context(), fn); err != nil {
					t.Fatal(err)
				}
				if err := r.WaitFor(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
		}
		if applied > 3 {
			t.Errorf("150 commits without effect took %d transactions", applied)
		}
		other := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
		if err := other.WaitFor(t.Context(), p); err != nil {
			t.Errorf("from another process: %v", err)
		}
		state, err := sink.State(t.Context(), "bank")
		if err != nil || state.Checkpoints[0].Skipped != 50 || state.Checkpoints[0].Handled != 0 {
			t.Errorf("checkpoint %+v, %v; want 50 skipped", state.Checkpoints, err)
		}
	})
}

// What was read is told to the sink before Run returns.
func TestShutdownMovesTheCheckpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, sink := eventlogtest.New(t), newSink(t)
		r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
		stop := start(t, r)
		p := appendTo(t, log, account(0), Closed{})
		if err := r.WaitFor(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if state, err := sink.State(t.Context(), "bank"); err != nil || !state.Position().Covers(p) {
			t.Errorf("checkpoint %v, want %v: %v", state.Position(), p, err)
		}
	})
}

func TestCatchUpBesideRun(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
	start(t, r)
	appendTo(t, log, account(0), Opened{"Ada"})
	if err := r.CatchUp(t.Context(), "bank"); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, sink); got != "account/0 Ada 0 \n" {
		t.Errorf("read model %q", got)
	}
	if err := r.CatchUp(t.Context(), "nobody"); !errors.Is(err, projection.ErrUnknownProjection) {
		t.Errorf("an unknown one: %v", err)
	}
}

// Run takes over from a CatchUp that is under way, and CatchUps wait for each
// other.
func TestRunAfterCatchUp(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	entered, leave := make(chan struct{}), make(chan struct{})
	first := true
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{picky("p", func(eventlog.Record, Posted) error {
		if first {
			first = false
			close(entered)
			<-leave
		}
		return nil
	})}}
	caught := make(chan error, 2)
	go func() { caught <- r.CatchUp(t.Context()) }()
	<-entered
	p := appendTo(t, log, account(0), Posted{2})
	go func() { caught <- r.CatchUp(t.Context()) }()
	start(t, r)
	close(leave)
	if err := errors.Join(<-caught, <-caught, r.WaitFor(t.Context(), p)); err != nil {
		t.Error(err)
	}
	if got := amounts(t, sink, "p"); got != "1 2" {
		t.Errorf("rows %q, want 1 2", got)
	}
}

func TestCatchUpReportsAStop(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	p := picky("p", func(eventlog.Record, Posted) error { return errPicky })
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}, Attempts: 1}
	if err := r.CatchUp(t.Context()); !errors.Is(err, errPicky) {
		t.Errorf("catch up: %v", err)
	}
}
