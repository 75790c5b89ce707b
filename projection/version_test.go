package projection_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func version(n int) sqlsink.Projection {
	p := picky("p", func(eventlog.Record, Posted) error { return nil })
	p.Version = n
	return p
}

func TestHigherVersionStartsAnew(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1}, Posted{2})
	catchUp := func(n int) error {
		return (&sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(n)}}).CatchUp(t.Context())
	}
	for _, n := range []int{1, 1, 3} {
		if err := catchUp(n); err != nil {
			t.Fatal(err)
		}
		if got := amounts(t, sink, "p"); got != "1 2" {
			t.Errorf("version %d has %q", n, got)
		}
	}
	if err := catchUp(2); !errors.Is(err, projection.ErrVersion) {
		t.Errorf("back to version 2: %v", err)
	}
	older := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(2)}}
	if err := older.Rebuild(t.Context(), "p"); err != nil {
		t.Errorf("a rebuild of version 2: %v", err)
	}
	if state, err := sink.State(t.Context(), "p"); err != nil || state.Version != 2 {
		t.Errorf("the sink holds %+v, %v", state, err)
	}
	if got := amounts(t, sink, "p"); got != "1 2" {
		t.Errorf("version 2 has %q", got)
	}
}

// A runner whose version is replaced under it stops: it must neither write to
// the newer tables nor take them back.
func TestReplacedVersionStops(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	old := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(1)}}
	done := make(chan error, 1)
	go func() { done <- old.Run(t.Context()) }()
	if err := old.WaitFor(t.Context(), appendTo(t, log, account(0), Posted{1})); err != nil {
		t.Fatal(err)
	}
	young := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(2)}}
	if err := young.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, account(0), Posted{2})
	if err := <-done; !errors.Is(err, projection.ErrVersion) {
		t.Errorf("the old one: %v", err)
	}
	if err := young.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := amounts(t, sink, "p"); got != "1 2" {
		t.Errorf("rows %q, want 1 2", got)
	}
}

// A log that was made anew, or lost its end, is not taken for the one that the
// read model was built from.
func TestOtherLog(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	fill := func(shards, events int) *eventlog.Log {
		l := eventlogtest.Open(t, &eventlog.Options{Shards: shards})
		for i := range events {
			appendTo(t, l, account(0), Posted{int64(i)})
		}
		return l
	}
	runner := func(l *eventlog.Log) *sqlsink.Runner {
		return &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{version(1)}}
	}
	if err := runner(fill(2, 3)).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]*eventlog.Log{
		"a shorter one": fill(2, 2), "one as long": fill(2, 3), "a longer one": fill(2, 9), "other shards": fill(3, 9),
	} {
		if err := runner(other).CatchUp(t.Context()); !errors.Is(err, projection.ErrOtherLog) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := amounts(t, sink, "p"); got != "0 1 2" {
		t.Errorf("rows %q, want 0 1 2", got)
	}
	r := runner(fill(3, 1))
	if err := r.Rebuild(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if got := amounts(t, sink, "p"); got != "0" {
		t.Errorf("rebuilt: rows %q, want 0", got)
	}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Errorf("rebuilt: %v", err)
	}
}

// A log that lost commits without events has the last event of the read model,
// and is found out all the same.
func TestLogThatLostItsEnd(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.Open(t, &eventlog.Options{Shards: 1}), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(1)}}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	state, err := sink.State(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	m := projection.Move{From: state.Checkpoints[0], To: state.Checkpoints[0]}
	m.To.Revision++
	err = sink.Apply(t.Context(), projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{m}}, func(*sql.Tx) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CatchUp(t.Context()); !errors.Is(err, projection.ErrOtherLog) {
		t.Errorf("catch up: %v", err)
	}
}

// Without Reset nothing is built anew: the rows would count twice.
func TestWithoutReset(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	first := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{version(1)}}
	if err := first.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := version(1)
	p.Reset = nil
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Errorf("the same version: %v", err)
	}
	if err := r.Rebuild(t.Context(), "p"); err == nil {
		t.Error("it was rebuilt")
	}
	p.Version = 2
	r = &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}}
	if err := r.CatchUp(t.Context()); err == nil {
		t.Error("a higher version was built")
	}
	if got := amounts(t, sink, "p"); got != "1" {
		t.Errorf("rows %q, want 1", got)
	}
}

// A Reset that fails is tried as often as an event, and panics are errors.
func TestResetFails(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	tries := 0
	p := version(1)
	reset := p.Reset
	p.Reset = func(tx *sql.Tx) error {
		if tries++; tries < 3 {
			return errPicky
		}
		if tries == 3 {
			panic("oh")
		}
		return reset(tx)
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}, Backoff: time.Microsecond, Attempts: 2}
	if err := r.CatchUp(t.Context()); !errors.Is(err, errPicky) || tries != 2 {
		t.Errorf("catch up: %v after %d tries", err, tries)
	}
	if err := r.CatchUp(t.Context()); err != nil || tries != 4 {
		t.Errorf("catch up: %v after %d tries", err, tries)
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	good := version(1)
	change := func(fn func(p *sqlsink.Projection)) []sqlsink.Projection {
		p := good
		fn(&p)
		return []sqlsink.Projection{p}
	}
	for name, r := range map[string]*sqlsink.Runner{
		"no log":         {Sink: sink, Projections: []sqlsink.Projection{good}},
		"no sink":        {Log: log, Projections: []sqlsink.Projection{good}},
		"no projections": {Log: log, Sink: sink},
		"two of a name":  {Log: log, Sink: sink, Projections: []sqlsink.Projection{good, good}},
		"negative":       {Log: log, Sink: sink, Projections: []sqlsink.Projection{good}, Batch: -1},
		"no name":        {Log: log, Sink: sink, Projections: change(func(p *sqlsink.Projection) { p.Name = "" })},
		"no version":     {Log: log, Sink: sink, Projections: change(func(p *sqlsink.Projection) { p.Version = 0 })},
		"no handlers":    {Log: log, Sink: sink, Projections: change(func(p *sqlsink.Projection) { p.Handlers = nil })},
		"two of a type": {Log: log, Sink: sink, Projections: change(func(p *sqlsink.Projection) {
			p.Handlers = append(p.Handlers, p.Handlers[0])
		})},
		"no handler": {Log: log, Sink: sink, Projections: change(func(p *sqlsink.Projection) {
			p.Handlers = sqlsink.Handlers{{}}
		})},
	} {
		if err := r.Run(t.Context()); err == nil {
			t.Errorf("%s: it ran", name)
		}
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{good}}
	start(t, r)
	if err := r.WaitFor(t.Context(), appendTo(t, log, account(0), Posted{1})); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); err == nil {
		t.Error("it ran twice at once")
	}
}
