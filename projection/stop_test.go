package projection_test

import (
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// picky is a projection that keeps what was posted, and asks a function first.
func picky(name string, ask func(r eventlog.Record, e Posted) error) sqlsink.Projection {
	return sqlsink.Projection{Name: name, Version: 1,
		Reset: sqlsink.Schema(`drop table if exists `+name, `create table `+name+` (amount integer)`),
		Handlers: sqlsink.Handlers{projection.On(func(tx *sql.Tx, r eventlog.Record, e Posted) error {
			if _, err := tx.Exec(`insert into `+name+` values ($1)`, e.Amount); err != nil {
				return err
			}
			return ask(r, e)
		})},
	}
}

// amounts returns the rows of picky.
func amounts(t testing.TB, s *sqlsink.Sink, name string) string {
	t.Helper()
	var list sql.NullString
	if err := s.DB().QueryRow(`select group_concat(amount, ' ') from ` + name).Scan(&list); err != nil {
		t.Fatal(err)
	}
	return list.String
}

var errPicky = errors.New("not this one")

// An event that its handler refuses stops its projection and no other: what is
// before it takes effect, it is tried as often as the runner says, and nothing
// behind it takes effect.
func TestRefusedEventStopsItsProjection(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.Open(t, &eventlog.Options{Shards: 1}), newSink(t)
	for i := range 10 {
		appendTo(t, log, account(0), Posted{int64(i)})
	}
	var tries atomic.Int32
	bad := picky("bad", func(_ eventlog.Record, e Posted) error {
		if e.Amount == 6 {
			tries.Add(1)
			return errPicky
		}
		return nil
	})
	good := picky("good", func(eventlog.Record, Posted) error { return nil })
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bad, good}, Attempts: 3, Backoff: time.Microsecond}
	ctx, cancel := withCancel(t)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	end, err := log.Position(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var refused *projection.EventError
	if err := r.WaitFor(ctx, end, "bad"); !errors.As(err, &refused) || !errors.Is(err, errPicky) {
		t.Errorf("wait for bad: %v", err)
	}
	if err := r.WaitFor(ctx, end, "good"); err != nil {
		t.Errorf("wait for good: %v", err)
	}
	list, err := r.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Healthy() || !errors.Is(list[0].Err, errPicky) || list[0].Shards[0].Commits != 4 {
		t.Errorf("status of bad: %+v", list[0])
	}
	if !list[1].Healthy() || list[1].Shards[0].Commits != 0 {
		t.Errorf("status of good: %+v", list[1])
	}
	if err := r.Rebuild(ctx, "bad"); !errors.Is(err, errPicky) {
		t.Errorf("rebuild of what has stopped: %v", err)
	}
	cancel()
	err = <-done
	if refused = nil; !errors.As(err, &refused) || refused.Projection != "bad" || refused.Record.Stream != account(0) || refused.Record.Version != 7 {
		t.Errorf("run: %v", err)
	}
	if got, want := amounts(t, sink, "bad"), "0 1 2 3 4 5"; got != want {
		t.Errorf("bad has %s, want %s", got, want)
	}
	if got, want := amounts(t, sink, "good"), "0 1 2 3 4 5 6 7 8 9"; got != want {
		t.Errorf("good has %s, want %s", got, want)
	}
	// once with others before it, then alone
	if n := tries.Load(); n != 1+3 {
		t.Errorf("the event was tried %d times, want 4", n)
	}
}

func TestRunReturnsWhenAllHaveStopped(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	refuse := func(eventlog.Record, Posted) error { return errPicky }
	r := &sqlsink.Runner{Log: log, Sink: sink, Attempts: 1, Projections: []sqlsink.Projection{picky("a", refuse), picky("b", refuse)}}
	err := r.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "a stopped") || !strings.Contains(err.Error(), "b stopped") {
		t.Errorf("run: %v", err)
	}
}

func TestRefusalThatPasses(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	left := 4
	p := picky("p", func(eventlog.Record, Posted) error {
		if left--; left >= 0 {
			return errPicky
		}
		return nil
	})
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}, Backoff: time.Microsecond}
	start(t, r)
	if err := r.WaitFor(t.Context(), appendTo(t, log, account(0), Posted{7})); err != nil {
		t.Fatal(err)
	}
	list, err := r.Status(t.Context())
	if err != nil || !list[0].Healthy() {
		t.Errorf("status %+v, %v", list, err)
	}
	if got := amounts(t, sink, "p"); got != "7" {
		t.Errorf("rows %q, want 7", got)
	}
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	p := picky("p", func(eventlog.Record, Posted) error { panic("oh") })
	var told strings.Builder
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}, Attempts: 2, Backoff: time.Microsecond,
		Logger: slog.New(slog.NewTextHandler(&told, nil))}
	var refused *projection.EventError
	if err := r.Run(t.Context()); !errors.As(err, &refused) || !strings.HasSuffix(err.Error(), "panic: oh") {
		t.Errorf("run: %v", err)
	}
	if !strings.Contains(told.String(), "TestPanicIsAnError") {
		t.Errorf("the log does not show the stack: %s", told.String())
	}
	if got := amounts(t, sink, "p"); got != "" {
		t.Errorf("rows %q, want none", got)
	}
}

// What can never be handled is not tried again.
func TestPermanentErrorsStopAtOnce(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	appendTo(t, log, account(0), Opened{"Ada"}, eventlog.Raw{Type: "bank.posted", Data: []byte(`{"Amount":"much"}`)})
	undecodable := picky("p", func(eventlog.Record, Posted) error { return nil })
	unknown := undecodable
	unknown.Handlers = sqlsink.Handlers{projection.On(func(*sql.Tx, eventlog.Record, Opened) error { return nil })}
	unknown.Else = projection.Refuse
	for name, p := range map[string]sqlsink.Projection{"undecodable": undecodable, "unknown": unknown} {
		// another try would begin after minutes
		r := &sqlsink.Runner{Log: log, Sink: newSink(t), Projections: []sqlsink.Projection{p}, Backoff: time.Hour}
		var refused *projection.EventError
		if err := r.Run(t.Context()); !errors.As(err, &refused) || refused.Record.Version != 2 {
			t.Errorf("%s: run: %v", name, err)
		} else if name == "unknown" && !errors.Is(err, eventlog.ErrUnknownType) {
			t.Errorf("%s: run: %v", name, err)
		}
	}
}

func TestUnknownTypesAreSkippedAndCounted(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.Open(t, &eventlog.Options{Shards: 1}), newSink(t)
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
	start(t, r)
	appendTo(t, log, account(0), Opened{"Ada"}, Closed{}, Closed{}, eventlog.Raw{Type: "bank.note", Data: []byte(`{}`)})
	if err := r.WaitFor(t.Context(), appendTo(t, log, account(0), Posted{1})); err != nil {
		t.Fatal(err)
	}
	list, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := list[0]
	if s.Shards[0].Handled != 2 || s.Shards[0].Skipped != 3 || s.Skipped["bank.closed"] != 2 || s.Skipped["bank.note"] != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestElseGetsTheOthers(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Opened{"Ada"}, Posted{1}, Closed{})
	var others []string
	p := picky("p", func(eventlog.Record, Posted) error { return nil })
	p.Else = func(_ *sql.Tx, r eventlog.Record) error {
		others = append(others, r.Type)
		return nil
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{p}}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(others, " "); got != "bank.opened bank.closed" {
		t.Errorf("Else got %s", got)
	}
}
