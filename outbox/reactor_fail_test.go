package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestReactorHoldsItsShard: an event that fails is tried again, with pauses, and
// holds up its shard, which is to be seen everywhere; others go on, and so does
// its shard once it succeeds. What it wrote is rolled back, what came before it
// in its batch is not.
func TestReactorHoldsItsShard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var out strings.Builder
		var mu sync.Mutex
		mended := false
		var attempts []int
		r := seeing(l)
		r.Logger = slog.New(slog.NewTextHandler(&out, nil))
		r.React = func(tx *eventlog.Tx, r eventlog.Record) error {
			if err := see(tx, r); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if r.Stream == "a/1" && r.Version == 2 && !mended {
				panic("no such customer")
			}
			return nil
		}
		r.Hooks.Failed = func(r eventlog.Record, attempt int, err error) {
			mu.Lock()
			defer mu.Unlock()
			if r.Version == 2 && strings.Contains(err.Error(), "no such customer") {
				attempts = append(attempts, attempt)
			}
		}
		if err := r.Health(context.Background()); err == nil {
			t.Error("healthy before Run")
		}
		startRun(t, r)
		synctest.Wait()
		if err := r.Health(context.Background()); err != nil {
			t.Errorf("health: %v", err)
		}
		add(t, l, "a/1", 1, 2, 3)
		elsewhere := streamIn(l, "b", l.ShardOf("a/1"), false)
		add(t, l, elsewhere, 1)
		time.Sleep(10 * time.Minute)
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1}) {
			t.Errorf("seen %v", got)
		}
		if got := seen(t, l, elsewhere); !slices.Equal(got, []int{1}) {
			t.Errorf("elsewhere: seen %v", got)
		}
		mu.Lock()
		if n := len(attempts); n < 10 || n > 40 || attempts[n-1] != n {
			t.Errorf("attempts %v", attempts)
		}
		if !strings.Contains(out.String(), "no such customer") {
			t.Error("the log says nothing")
		}
		mended = true
		mu.Unlock()
		if err := r.Health(context.Background()); err == nil || !strings.Contains(err.Error(), "no such customer") {
			t.Errorf("health: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("mended: seen %v", got)
		}
		if err := r.Health(context.Background()); err != nil {
			t.Errorf("mended: health: %v", err)
		}
	})
}

// TestReactorSkips what wraps Abort: it is recorded and counted, what it wrote is
// not there, and the rest of its commit is.
func TestReactorSkips(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	add(t, l, "a/1", 1, 2, 3)
	r := seeing(l)
	r.React = func(tx *eventlog.Tx, r eventlog.Record) error {
		if err := see(tx, r); err != nil || r.Version != 2 {
			return err
		}
		return fmt.Errorf("never: %w", outbox.Abort(errFail))
	}
	var hooked []error
	events := 0
	r.Hooks = outbox.ReactorHooks{
		Skipped: func(r eventlog.Record, err error) { hooked = append(hooked, err) },
		Reacted: func(shard, n int) { events += n },
	}
	drainReactor(t, r)
	drainReactor(t, r)
	if got := seen(t, l, "a/1"); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("seen %v", got)
	}
	if len(hooked) != 1 || !errors.Is(hooked[0], errFail) || events != 3 {
		t.Errorf("hooks: %v, %d events", hooked, events)
	}
	var list []outbox.SkippedEvent
	for e, err := range (&outbox.Reactor{Log: l, Name: "seeing"}).Skipped(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	if len(list) != 1 || list[0].Stream != "a/1" || list[0].Version != 2 || list[0].Type != "test.added" || list[0].Err != "never: out of order" {
		t.Errorf("skipped %+v", list)
	}
	status, err := (&outbox.Reactor{Log: l, Name: "seeing"}).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := status[l.ShardOf("a/1")]; s.Events != 3 || s.Skipped != 1 || s.Revision != 1 || s.Tail < 1 {
		t.Errorf("status %+v", s)
	}
}

// TestReactorTooLarge: events whose effects have no room in one commit get
// several; one whose effect no commit holds fails.
func TestReactorTooLarge(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for i := range 10 {
		add(t, l, "a/1", i)
	}
	copies := 1
	r := seeing(l)
	r.React = func(tx *eventlog.Tx, r eventlog.Record) error {
		for range copies {
			if err := tx.Append("big/1", eventlog.Raw{Type: "big", Data: []byte(`"` + strings.Repeat("x", 300_000) + `"`)}); err != nil {
				return err
			}
		}
		return nil
	}
	drainReactor(t, r)
	add(t, l, "a/1", 10)
	copies = 3
	if err := r.Drain(t.Context()); !errors.Is(err, eventlog.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	copies = 1
	drainReactor(t, r)
	n := 0
	for _, err := range l.Read(t.Context(), eventlog.Query{Stream: "big/1"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 11 {
		t.Errorf("%d effects", n)
	}
}

// TestReactorTooManyKeys: a commit that is only found too large when it is
// written is halved.
func TestReactorTooManyKeys(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for i := range 8 {
		add(t, l, "a/1", i)
	}
	r := seeing(l)
	r.React = func(tx *eventlog.Tx, rec eventlog.Record) error {
		for i := range 1000 {
			if err := tx.Append(fmt.Sprintf("many{x}/%d-%d", rec.Version, i), Added{1}); err != nil {
				return err
			}
		}
		return nil
	}
	r.Category = "a"
	drainReactor(t, r)
	status, err := r.Status(t.Context())
	if err != nil || status[l.ShardOf("a/1")].Events != 8 {
		t.Errorf("%+v, %v", status, err)
	}
}
