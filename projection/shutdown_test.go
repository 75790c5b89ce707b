package projection_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func withCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// A transaction that is under way when ctx ends is finished before Run returns.
func TestShutdownFinishesTheBatch(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	p := appendTo(t, log, account(0), Posted{1}, Posted{2})
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{picky("p", func(eventlog.Record, Posted) error {
		entered <- struct{}{}
		<-leave
		return nil
	})}}
	ctx, cancel := withCancel(t)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-entered
	cancel()
	select {
	case err := <-done:
		t.Fatalf("Run returned in the middle of a batch: %v", err)
	default:
	}
	close(leave)
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if got := amounts(t, sink, "p"); got != "1 2" {
		t.Errorf("rows %q, want 1 2", got)
	}
	if state, err := sink.State(t.Context(), "p"); err != nil || !state.Position().Covers(p) {
		t.Errorf("checkpoint %v, want %v: %v", state.Position(), p, err)
	}
}

// stuck is a sink that answers only when it is told to give up.
type stuck struct {
	projection.Sink[int]
	shards  int
	entered chan struct{}
}

func (s stuck) State(context.Context, string) (projection.State, error) {
	out := projection.State{Version: 1}
	for i := range s.shards {
		out.Checkpoints = append(out.Checkpoints, projection.Checkpoint{Shard: i})
	}
	return out, nil
}

func (s stuck) Apply(ctx context.Context, _ projection.Batch, _ func(int) error) error {
	close(s.entered)
	<-ctx.Done()
	return ctx.Err()
}

// A sink that does not answer does not keep Run for ever.
func TestShutdownLosesPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		appendTo(t, log, account(0), Posted{1})
		s := stuck{shards: 1, entered: make(chan struct{})}
		r := &projection.Runner[int]{Log: log, Sink: s, Projections: []projection.Projection[int]{{
			Name: "p", Version: 1, Else: func(int, eventlog.Record) error { return nil },
		}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		<-s.entered
		begin := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if took := time.Since(begin); took < time.Second || took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRunEndsWithTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		s := stuck{shards: log.Shards(), entered: make(chan struct{})}
		r := &projection.Runner[int]{Log: log, Sink: s, Projections: []projection.Projection[int]{{
			Name: "p", Version: 1, Else: func(int, eventlog.Record) error { return nil },
		}}}
		done := make(chan error, 1)
		go func() { done <- r.Run(t.Context()) }()
		synctest.Wait()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("run: %v", err)
		}
	})
}
