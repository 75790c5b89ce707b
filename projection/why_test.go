package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// Why a projection stopped can be seen from everywhere until it goes on.
func TestStatusSaysWhyFromElsewhere(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.Open(t, &eventlog.Options{Shards: 1}), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	appendTo(t, log, account(0), Posted{2})
	refuse := true
	p := picky("p", func(_ eventlog.Record, e Posted) error {
		if refuse && e.Amount == 2 {
			return errors.New("no \x00\xff twos")
		}
		return nil
	})
	runner := func() *sqlsink.Runner {
		return &sqlsink.Runner{Log: log, Sink: sink, Attempts: 1, Projections: []sqlsink.Projection{p}}
	}
	status := func(r *sqlsink.Runner) projection.Status {
		t.Helper()
		list, err := r.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	if err := runner().Run(t.Context()); err == nil {
		t.Fatal("nothing was refused")
	}
	var stop *projection.Stop
	if s := status(runner()); s.Healthy() || !errors.As(s.Err, &stop) {
		t.Fatalf("status %+v", s)
	}
	const reason = "p stopped: bank.posted at account/0 version 2 (shard 0 revision 2): no \uFFFD\uFFFD twos"
	if stop.Error() != reason || stop.Revision != 2 || stop.Version != 1 || stop.Time.IsZero() {
		t.Errorf("stop %+v, want %s", stop, reason)
	}
	refuse = false
	if err := runner().CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := status(runner()); !s.Healthy() {
		t.Errorf("mended: %+v", s)
	}
	if state, err := sink.State(t.Context(), "p"); err != nil || state.Stop != nil {
		t.Errorf("mended: state %+v, %v", state, err)
	}
	// another runner came further, or holds a newer version
	for _, old := range []*projection.Stop{{Version: 1, Revision: 2, Reason: "old"}, {Version: 0, Reason: "old"}} {
		if err := sink.Note(t.Context(), "p", old); err != nil {
			t.Fatal(err)
		}
		if s := status(runner()); !s.Healthy() {
			t.Errorf("with %+v: %+v", old, s)
		}
	}
}

// An older program that stops does not say so of the newer one's read model.
func TestOlderProgramLeavesNoNote(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	for _, n := range []int{2, 1} {
		err := (&sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(n)}}).CatchUp(t.Context())
		if n == 1 && !errors.Is(err, projection.ErrVersion) || n == 2 && err != nil {
			t.Errorf("version %d: %v", n, err)
		}
	}
	if state, err := sink.State(t.Context(), "p"); err != nil || state.Stop != nil {
		t.Errorf("state %+v, %v", state, err)
	}
}

// A reason may be as long as an event; the sink keeps its beginning.
func TestLongReason(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	p := picky("p", func(eventlog.Record, Posted) error { return errors.New(strings.Repeat("ä", 1<<20)) })
	if err := (&sqlsink.Runner{Log: log, Sink: sink, Attempts: 1, Projections: []sqlsink.Projection{p}}).CatchUp(t.Context()); err == nil {
		t.Fatal("nothing was refused")
	}
	state, err := sink.State(t.Context(), "p")
	if err != nil || state.Stop == nil || len(state.Stop.Reason) > 5000 || !strings.HasPrefix(state.Stop.Reason, "p stopped: ") {
		t.Errorf("state %+v, %v", state, err)
	}
}

// Health tells a runner that starts, goes, has trouble, stops, and has ended
// apart, and asks nobody.
func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.Open(t, &eventlog.Options{Shards: 2})
		var down atomic.Bool
		s := newFaulty(&slowSink{newSink(t)}, func() fault {
			if down.Load() {
				return refuse
			}
			return none
		}, nil)
		good, bad := picky("good", func(eventlog.Record, Posted) error { return nil }), picky("bad", func(_ eventlog.Record, e Posted) error {
			if e.Amount == 13 {
				return errPicky
			}
			return nil
		})
		r := &sqlsink.Runner{Log: log, Sink: s, Projections: []sqlsink.Projection{good, bad}, Attempts: 2}
		expect := func(when string, says ...string) {
			t.Helper()
			synctest.Wait()
			got := r.Health()
			ok := len(got) == len(says)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.Contains(got[i].Error(), says[i])
			}
			if !ok {
				t.Errorf("%s: %v, want %q", when, got, says)
			}
		}
		expect("before Run", "good does not run", "bad does not run")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		expect("at first", "good is starting", "bad is starting")
		time.Sleep(time.Minute) // of the bubble
		expect("when all is well")
		down.Store(true)
		appendTo(t, log, account(0), Posted{1})
		expect("while the sink is down", "good: sink: injected", "bad: sink: injected")
		down.Store(false)
		time.Sleep(time.Hour)
		expect("afterwards")
		appendTo(t, log, account(0), Posted{13})
		time.Sleep(time.Hour)
		expect("when one has stopped", "bad stopped: bank.posted at account/0 version 2")
		cancel()
		if err := <-done; !errors.Is(err, errPicky) {
			t.Errorf("run: %v", err)
		}
		expect("after Run", "good does not run", "bad does not run")
	})
}

// slowSink takes a second for each State.
type slowSink struct{ projection.Sink[*sql.Tx] }

func (s *slowSink) State(ctx context.Context, name string) (projection.State, error) {
	time.Sleep(time.Second)
	return s.Sink.State(ctx, name)
}

// A handler, a sink or a log that does not return is trouble after a minute, and
// none any more once it goes on; to be behind, or to wait, is none.
func TestHealthOfAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
		leave := make(chan struct{})
		p := picky("p", func(_ eventlog.Record, e Posted) error {
			if e.Amount == 7 {
				<-leave
			}
			time.Sleep(25 * time.Second) // of the bubble
			return nil
		})
		r := &sqlsink.Runner{Log: log, Sink: newSink(t), Projections: []sqlsink.Projection{p}, Batch: 2}
		start(t, r)
		time.Sleep(time.Hour)
		expect := func(when, says string) {
			t.Helper()
			list, err := r.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if h := r.Health(); says == "" && (len(h) > 0 || !list[0].Healthy()) ||
				says != "" && (len(h) != 1 || !strings.Contains(h[0].Error(), says) || list[0].Healthy()) {
				t.Errorf("%s: %v, want %q; status %+v", when, h, says, list[0])
			}
		}
		expect("idle for an hour", "")
		appendTo(t, log, account(0), Closed{}) // moves the checkpoint, later
		time.Sleep(time.Hour)
		expect("idle again", "")
		for range 4 {
			appendTo(t, log, account(0), Posted{1})
		}
		for range 3 {
			time.Sleep(50 * time.Second)
			expect("slow", "")
		}
		time.Sleep(time.Hour)
		appendTo(t, log, account(0), Posted{7})
		time.Sleep(50 * time.Second)
		expect("not for long", "")
		time.Sleep(50 * time.Second)
		expect("stalled", "p: no progress for 1m40s")
		close(leave)
		time.Sleep(50 * time.Second)
		expect("goes on", "")
	})
}
