package outbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestTooLarge: steps whose effects do not fit into one commit share several;
// one that fits into none is dead.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	h := outbox.Handler{Type: "test.big", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		return tx.Append(s.Stream, eventlog.Raw{Type: "test.blob", Data: []byte(`"` + strings.Repeat("x", 300_000) + `"`)})
	}}
	huge := outbox.Handler{Type: "test.huge", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		for range 3 {
			if err := h.Do(tx, s); err != nil {
				return err
			}
		}
		return nil
	}}
	var steps []outbox.Step
	for i := range 5 {
		steps = append(steps, named{"test.big", "a/1", i}, named{"test.huge", "b/1", i})
	}
	enqueue(t, l, steps...)
	drain(t, runner(l, h, huge))
	if n := commits(t, l, "a/1"); n != 3 {
		t.Errorf("%d commits of a, want 3", n)
	}
	list := dead(t, l)
	if len(list) != 5 {
		t.Fatalf("%d dead letters", len(list))
	}
	for _, d := range list {
		if d.Type != "test.huge" || d.Attempts != 1 || !strings.Contains(d.Err, "too large") {
			t.Errorf("dead letter %+v", d)
		}
	}
	if n := len(pending(t, l)); n != 0 {
		t.Errorf("%d pending", n)
	}
}

// TestTooManyKeys is about a limit that is found only when the commit is put
// together: the batch is halved.
func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	l, err := eventlog.Open(t.Context(), memlog.Open(), nil) // checking it would take a second
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wide := outbox.Handler{Type: "test.wide", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		for i := range 32 {
			var tags []string
			for j := range eventlog.MaxTags {
				tags = append(tags, fmt.Sprint(string(s.Data), "-", i, "-", j))
			}
			if err := tx.Append(s.Stream, eventlog.Tagged(Added{i}, tags...)); err != nil {
				return err
			}
		}
		return nil
	}}
	enormous := outbox.Handler{Type: "test.enormous", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		for i := range 3 {
			if err := wide.Do(tx, outbox.Raw{Stream: s.Stream, Data: fmt.Append(nil, "e", i)}); err != nil {
				return err
			}
		}
		return nil
	}}
	var steps []outbox.Step
	for i := range 3 {
		steps = append(steps, outbox.Raw{Type: "test.wide", Stream: "a/1", Data: fmt.Append(nil, i)})
	}
	enqueue(t, l, append(steps, outbox.Raw{Type: "test.enormous", Stream: "a/1", Data: []byte("0")})...)
	drain(t, runner(l, wide, enormous))
	if n, m := commits(t, l, "a/1"), len(added(t, l, "a/1")); n != 2 || m != 3*32 {
		t.Errorf("%d commits with %d events", n, m)
	}
	if list := dead(t, l); len(list) != 1 || list[0].Type != "test.enormous" {
		t.Errorf("dead letters %+v", list)
	}
	if n := len(pending(t, l)); n != 0 {
		t.Errorf("%d pending", n)
	}
}
