package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestReactorSelects: types, categories and where a new name begins; system
// streams are not reacted to, but where they are named.
func TestReactorSelects(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	add(t, l, "a/1", 1)
	add(t, l, "b/1", 2)
	if _, err := l.Append(t.Context(), "a/1", nil, Seen{}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, l, Add{"a/1", 3})
	half, err := l.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, "a/1", 4)
	n := 0
	for _, c := range []struct {
		reactor *outbox.Reactor
		want    []string
	}{
		{&outbox.Reactor{}, []string{"a/1 1", "a/1 2", "a/1 3", "b/1 1"}},
		{&outbox.Reactor{Types: []string{"test.seen"}}, []string{"a/1 2"}},
		{&outbox.Reactor{Category: "b"}, []string{"b/1 1"}},
		{&outbox.Reactor{After: half}, []string{"a/1 3"}},
		{&outbox.Reactor{Category: "$steps"}, []string{fmt.Sprintf("$steps/%d 1", l.ShardOf("a/1"))}},
	} {
		var mu sync.Mutex
		var got []string
		c.reactor.Log, c.reactor.Name = l, fmt.Sprint("reactor ", n)
		c.reactor.React = func(tx *eventlog.Tx, r eventlog.Record) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(r.Stream, " ", r.Version))
			return nil
		}
		drainReactor(t, c.reactor)
		drainReactor(t, c.reactor)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%d: %q, want %q", n, got, c.want)
		}
		n++
	}
}

// TestReactorChains: what is written for an event belongs to its chain, whether
// it has a commit of its own or shares one.
func TestReactorChains(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	chains := map[string]eventlog.ID{}
	for _, s := range []string{"a{1}/1", "a{1}/2"} {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			chains[s] = tx.ID()
			return tx.Append(s, Added{1})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, batch := range []int{1, 64} {
		r := seeing(l)
		r.Name, r.Batch = fmt.Sprint("chains ", n), batch
		r.React = func(tx *eventlog.Tx, r eventlog.Record) error {
			if tx.Meta().Causation != r.ID {
				t.Errorf("causation %v", tx.Meta().Causation)
			}
			return outbox.Enqueue(tx, Add{r.Stream, n})
		}
		drainReactor(t, r)
	}
	lone := seeing(l)
	lone.Name = "lone"
	lone.React = func(tx *eventlog.Tx, r eventlog.Record) error {
		if r.Stream == "a{1}/1" {
			return nil
		}
		return see(tx, r)
	}
	drainReactor(t, lone)
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "seen/a{1}/2"}) {
		if err != nil || r.Meta.Correlation != chains["a{1}/2"] || r.Meta.Causation.IsZero() {
			t.Errorf("the only effect of its batch: %+v, %v", r.Meta, err)
		}
	}
	found := map[string]int{}
	for _, i := range pending(t, l) {
		if i.Chain != chains[i.Target] {
			t.Errorf("%s: chain %v, want %v", i.Target, i.Chain, chains[i.Target])
		}
	}
	for stream, chain := range chains {
		for r, err := range l.Read(t.Context(), eventlog.Query{Correlation: chain, System: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if !r.Meta.Causation.IsZero() {
				found[stream]++
			}
		}
	}
	if found["a{1}/1"] == 0 || found["a{1}/2"] == 0 {
		t.Errorf("effects of the chains: %v", found)
	}
}

// TestReactorReactsToItself: what it writes may be an event to react to.
func TestReactorReactsToItself(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	add(t, l, "a/1", 1)
	r := &outbox.Reactor{Log: l, Name: "again", React: func(tx *eventlog.Tx, r eventlog.Record) error {
		if r.Version == 1 && len(r.Stream) < 12 {
			return tx.Append(r.Stream+"1", Added{1})
		}
		return nil
	}}
	drainReactor(t, r)
	if got := added(t, l, "a/1111111111"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestReactorRefuses(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for name, change := range map[string]func(*outbox.Reactor){
		"no log":           func(r *outbox.Reactor) { r.Log = nil },
		"no react":         func(r *outbox.Reactor) { r.React = nil },
		"no name":          func(r *outbox.Reactor) { r.Name = "" },
		"slash":            func(r *outbox.Reactor) { r.Name = "a/b" },
		"control":          func(r *outbox.Reactor) { r.Name = "a\x01" },
		"not UTF-8":        func(r *outbox.Reactor) { r.Name = "\xff" },
		"long name":        func(r *outbox.Reactor) { r.Name = strings.Repeat("x", 201) },
		"negative batch":   func(r *outbox.Reactor) { r.Batch = -1 },
		"absurd batch":     func(r *outbox.Reactor) { r.Batch = 65 },
		"negative lease":   func(r *outbox.Reactor) { r.Lease = -1 },
		"absurd lease":     func(r *outbox.Reactor) { r.Lease = time.Nanosecond },
		"negative grace":   func(r *outbox.Reactor) { r.Grace = -1 },
		"absurd grace":     func(r *outbox.Reactor) { r.Grace = 1e18 },
		"negative backoff": func(r *outbox.Reactor) { r.Backoff = -1 },
	} {
		r := seeing(l)
		change(r)
		if err := r.Run(t.Context()); err == nil {
			t.Errorf("%s: runs", name)
		}
		if err := r.Drain(t.Context()); err == nil {
			t.Errorf("%s: drains", name)
		}
	}
	bad := &outbox.Reactor{Log: l}
	if _, err := bad.Status(t.Context()); err == nil {
		t.Error("status without a name")
	}
	for _, err := range bad.Skipped(t.Context()) {
		if err == nil {
			t.Error("skipped without a name")
		}
	}
}
