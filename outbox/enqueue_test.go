package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

type named struct {
	Type, To string
	Pad      any
}

func (n named) StepType() string { return n.Type }
func (n named) Target() string   { return n.To }

func TestEnqueueRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		step outbox.Step
		want error
	}{
		"nil":                        {nil, outbox.ErrStep},
		"a nil pointer":              {(*named)(nil), outbox.ErrStep},
		"no type":                    {named{To: "a/1"}, outbox.ErrStep},
		"no target":                  {named{Type: "x"}, outbox.ErrStep},
		"a target that is no UTF-8":  {named{Type: "x", To: "a/\xff"}, outbox.ErrStep},
		"a target with a control":    {named{Type: "x", To: "a/\x01"}, outbox.ErrStep},
		"a target that is too long":  {named{Type: "x", To: strings.Repeat("a", 1001)}, eventlog.ErrTooLarge},
		"a type that is too long":    {named{Type: strings.Repeat("/", 400), To: "a"}, eventlog.ErrTooLarge},
		"what JSON cannot say":       {named{"x", "a", func() {}}, outbox.ErrStep},
		"raw data that is no JSON":   {outbox.Raw{Type: "x", Stream: "a", Data: []byte("{")}, outbox.ErrStep},
		"a payload that is too big":  {named{"x", "a", strings.Repeat("x", eventlog.MaxEvent)}, eventlog.ErrTooLarge},
		"a pointer to a step is one": {&named{Type: "x", To: "a"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			var refused error
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				meta := *tx.Meta()
				if refused = outbox.Enqueue(tx, test.step); refused == nil {
					return nil
				}
				if diff := cmp.Diff(meta, *tx.Meta()); diff != "" {
					t.Errorf("the metadata changed: %s", diff)
				}
				return tx.Append("b/1", Added{1}) // the transaction may go on
			})
			if err != nil {
				t.Fatal(err)
			}
			if !errors.Is(refused, test.want) {
				t.Errorf("got %v, want %v", refused, test.want)
			}
			if n := len(pending(t, l)); test.want != nil && n != 0 || test.want == nil && n != 1 {
				t.Errorf("%d steps", n)
			}
		})
	}
}

func TestEnqueueInAView(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	err := l.View(t.Context(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, Add{"a/1", 1}) })
	if !errors.Is(err, eventlog.ErrReadOnly) {
		t.Errorf("got %v", err)
	}
}

func TestStepAndEventsAreOneCommit(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	boom := errors.New("boom")
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		if err := tx.Append("a/1", Added{1}); err != nil {
			return err
		}
		if err := outbox.Enqueue(tx, Add{"b/1", 1}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if p, err := l.Position(t.Context()); err != nil || !p.IsZero() {
		t.Errorf("an aborted transaction left something at %v (%v)", p, err)
	}
	_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error {
		err := tx.Savepoint(func() error {
			if err := outbox.Enqueue(tx, Add{"b/1", 1}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			return err
		}
		return outbox.Enqueue(tx, Add{"b/1", 2})
	})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, runner(l, adding))
	if got := added(t, l, "b/1"); !cmp.Equal(got, []int{2}) {
		t.Errorf("got %v", got)
	}
}

// streamIn returns a stream of the category that lies in a shard, or does not.
func streamIn(l *eventlog.Log, category string, shard int, in bool) string {
	for i := 0; ; i++ {
		if s := fmt.Sprintf("%s/%d", category, i); (l.ShardOf(s) == shard) == in {
			return s
		}
	}
}

// TestEmittersShard: the commit that emits a step stays in one shard.
func TestEmittersShard(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	target := "target/1"
	far := streamIn(l, "far", l.ShardOf(target), false)
	tests := map[string]struct {
		fn   func(tx *eventlog.Tx) error
		want string // a stream of the shard
	}{
		"appended": {func(tx *eventlog.Tx) error { return tx.Append(far, Added{1}) }, far},
		"read": {func(tx *eventlog.Tx) error {
			for _, err := range tx.Read(eventlog.Query{Stream: far}) {
				return err
			}
			return nil
		}, far},
		"nothing": {func(*eventlog.Tx) error { return nil }, target},
	}
	for name, test := range tests {
		before := len(pending(t, l))
		p, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			if err := test.fn(tx); err != nil {
				return err
			}
			return outbox.Enqueue(tx, Add{target, 1})
		})
		if err != nil {
			t.Fatal(err)
		}
		shard := l.ShardOf(test.want)
		if only := (eventlog.Position{}).With(shard, p.Revision(shard)); !only.Covers(p) {
			t.Errorf("%s: the commit lies at %v, not only in shard %d", name, p, shard)
		}
		list := pending(t, l)
		if len(list) != before+1 {
			t.Fatalf("%s: %d steps", name, len(list))
		}
	}
}

// TestChain: what a step's handler writes belongs to the chain of the
// transaction that started it, and says which step caused it.
func TestChain(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var first eventlog.ID
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		first = tx.ID()
		tx.Meta().Actor, tx.Meta().Traceparent = "ann", "00-1-2-01"
		return outbox.Enqueue(tx, Relay{[]string{"a/1", "b/1", "c/1"}, 7})
	})
	if err != nil {
		t.Fatal(err)
	}
	step := pending(t, l)[0]
	if step.Chain != first || step.ID.IsZero() || step.Type != "test.relay" || step.Target != "a/1" {
		t.Errorf("step %+v of chain %v", step, first)
	}
	drain(t, runner(l, relaying))
	streams := map[string]eventlog.Meta{}
	for r, err := range l.Read(t.Context(), eventlog.Query{Correlation: first}) {
		if err != nil {
			t.Fatal(err)
		}
		streams[r.Stream] = r.Meta
	}
	for _, s := range []string{"a/1", "b/1", "c/1"} {
		m, ok := streams[s]
		if !ok || m.Correlation != first || m.Actor != "ann" || m.Traceparent != "00-1-2-01" || m.Causation.IsZero() {
			t.Errorf("%s: %+v", s, m)
		}
	}
	if streams["a/1"].Causation != step.ID || streams["b/1"].Causation == step.ID {
		t.Errorf("causations %v, %v; the first step is %v", streams["a/1"].Causation, streams["b/1"].Causation, step.ID)
	}
}

// TestChainsThatShareACommit keep their own correlations.
func TestChainsThatShareACommit(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	home := streamIn(l, "home", 3, true)
	chains := map[eventlog.ID]string{}
	for i := range 5 {
		end := streamIn(l, "end", 4+i, true) // or two of them may share a commit, too
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			chains[tx.ID()] = end
			if err := tx.Append(home, Added{0}); err != nil {
				return err
			}
			return outbox.Enqueue(tx, Relay{[]string{"hot/1", end}, i})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	drain(t, runner(l, relaying))
	commits := map[eventlog.ID]bool{}
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "hot/1"}) {
		if err != nil {
			t.Fatal(err)
		}
		commits[r.Commit()] = true
	}
	if len(commits) != 1 {
		t.Errorf("%d commits; the steps should share one", len(commits))
	}
	for chain, end := range chains {
		var got []string
		for r, err := range l.Read(t.Context(), eventlog.Query{Correlation: chain, System: true}) {
			if err != nil || r.Meta.Correlation != chain || r.Meta.Causation.IsZero() && r.Type != "$step.enqueued" && r.Stream != home {
				t.Errorf("%+v: %v", r, err)
			}
			got = append(got, r.Type)
			if strings.HasPrefix(r.Stream, "end/") && r.Stream != end {
				t.Errorf("%s belongs to %v", r.Stream, chain)
			}
		}
		slices.Sort(got)
		want := []string{"$step.done", "$step.done", "$step.enqueued", "$step.enqueued", "test.added", "test.added", "test.added"}
		if !slices.Equal(got, want) {
			t.Errorf("chain %v: %v", chain, got)
		}
	}
}
