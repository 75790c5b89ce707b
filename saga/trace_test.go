package saga_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func trace(t testing.TB, l *eventlog.Log, name, id string) *saga.Tree {
	t.Helper()
	i, err := saga.Show(t.Context(), l, name, id)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := saga.Trace(t.Context(), l, i.Chain)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestTrace: the tree of a saga has all its steps, over all shards, with those of its
// child, what became of them and how often they were tried; what a signal of another
// chain sets off is part of it.
func TestTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		fails := 0
		s := round(adding("one"), with(hear("a"), func(s *saga.Step[count]) { s.Timeout = time.Hour }),
			sendOut(""), with(refusing("two"), func(s *saga.Step[count]) {
				do := s.Do
				s.Do = func(tx *eventlog.Tx, c *count) error {
					if fails++; fails < 3 {
						return errors.New("not now")
					}
					return do(tx, c)
				}
			}))
		start(t, l, s, "x", count{})
		drainApart(t, l, both(s, errands)...)
		before := trace(t, l, "round", "x").String()
		send(t, l, say("a", "1", "x"), say("b", "1", "x"))
		for range 3 {
			drainApart(t, l, both(s, errands)...)
			time.Sleep(time.Second)
		}
		tree := trace(t, l, "round", "x")
		name := strings.NewReplacer(tree.Chain.String(), "ID")
		if diff := cmp.Diff(`chain ID
└ round one on note/one: done after 0s
  → round reply to x: done after 0s
  → round timer to x: waits until 2000-01-01T01:00:00Z
`, name.Replace(before)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(`chain ID
├ round one on note/one: done after 0s
│ → round reply to x: done after 0s
│ → round timer to x: taken back after 0s
└ errand begin to x/errand.3: done after 0s
  → errand go on errand/k: done after 0s
  → errand reply to x/errand.3: done after 0s
  → errand do on errand/k: done after 0s
  → errand reply to x/errand.3: done after 0s
  → round child to x: done after 0s
  → round two on note/two: refused after 2s, 3 failed attempts (two refuses)
  → round reply to x: done after 0s
  → errand recall to x/errand.3: done after 0s
  → errand do undo on errand/k: done after 0s
  → errand reply to x/errand.3: done after 0s
  → errand go undo on errand/k: done after 0s
  → errand reply to x/errand.3: done after 0s
  → round child to x: done after 0s
  → round one undo on note/one: done after 0s
  → round reply to x: done after 0s
`, name.Replace(tree.String())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestTraceOfManyChains: sagas that run side by side, and whose steps share commits, each
// have their own tree, whole.
func TestTraceOfManyChains(t *testing.T) {
	t.Parallel()
	l := eventlogtest.Open(t, few)
	open(t, l, "account/a", 1000)
	open(t, l, "account/b", 0)
	for n := range 40 {
		start(t, l, &transfer, fmt.Sprint(n), Transfer{"account/a", "account/b", 1})
	}
	drainApart(t, l, transfer.Handlers()...)
	for n := range 40 {
		tree := trace(t, l, "transfer", fmt.Sprint(n))
		lines := strings.Split(tree.String(), "\n")
		if len(lines) != 6 || len(tree.Roots) != 1 || tree.Roots[0].Over.IsZero() || !strings.Contains(lines[4], fmt.Sprintf("transfer reply to %d: done", n)) {
			t.Fatalf("transfer %d:\n%s", n, tree)
		}
	}
}

// TestTraceOfFanOut: of many children each has its branch.
func TestTraceOfFanOut(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	s := round(fanOut(1, "a=wait b"))
	start(t, l, s, "x", count{})
	drain(t, l, both(s, errands)...)
	tree := trace(t, l, "round", "x").String()
	for _, line := range []string{"errand begin to x/errands.1/1", "errand begin to x/errands.1/2", "errand recall to x/errands.1/1", "errand go undo on errand/a", "round fan to x"} {
		if !strings.Contains(tree, line) {
			t.Errorf("%s is missing:\n%s", line, tree)
		}
	}
	dead := outbox.Raw{Type: "$saga/round/signal", Stream: "$saga-round/x", Data: []byte("7")}
	send(t, l, dead)
	drain(t, l, s.Handlers()...)
	for i, err := range outbox.Dead(t.Context(), l) {
		if err != nil {
			t.Fatal(err)
		}
		letter, err := saga.Trace(t.Context(), l, i.Chain)
		if err != nil || !strings.Contains(letter.String(), "└ round signal to x: dead after") {
			t.Errorf("%s (%v)", letter, err)
		}
	}
}
