package saga

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// A Tree is all that followed from a transaction: the steps of a chain, over all
// shards, each under the one whose handler emitted it.
type Tree struct {
	Chain eventlog.ID
	Roots []*Node // in the order in which they were emitted
}

// A Node is a step of a Tree. What an instance has done at once, without a step of the
// outbox, is a Node, too, Linked and without Version and Data.
type Node struct {
	outbox.ChainStep
	// Emitted are the steps that its handler enqueued, in their order.
	Emitted []*Node
}

// Trace returns the tree of a chain, such as the one in an instance's Info: who emitted
// what, when it ran, how often it was tried, and what became of it. It reads what is
// there now; a chain under way goes on.
func Trace(ctx context.Context, l *eventlog.Log, chain eventlog.ID) (*Tree, error) {
	t := &Tree{Chain: chain}
	nodes := make(map[eventlog.ID]*Node)
	var order []*Node
	for s, err := range outbox.Chain(ctx, l, chain) {
		if err != nil {
			return nil, fmt.Errorf("saga: trace: %w", err)
		}
		n := &Node{ChainStep: s}
		nodes[s.ID] = n
		order = append(order, n)
	}
	ran, err := atOnceOf(ctx, l, chain)
	if err != nil {
		return nil, fmt.Errorf("saga: trace: %w", err)
	}
	order = append(order, ran...)
	for _, n := range order {
		if cause := nodes[n.Cause]; cause != nil && cause != n {
			cause.Emitted = append(cause.Emitted, n)
		} else {
			t.Roots = append(t.Roots, n)
		}
	}
	if len(ran) > 0 {
		for _, n := range order {
			slices.SortStableFunc(n.Emitted, func(a, b *Node) int {
				return cmp.Or(a.Time.Compare(b.Time), bytes.Compare(a.ID[:], b.ID[:]))
			})
		}
	}
	return t, nil
}

// atOnceOf returns what instances of the chain have done at once: their events say so,
// under the step of the outbox in whose commit it was.
func atOnceOf(ctx context.Context, l *eventlog.Log, chain eventlog.ID) (list []*Node, err error) {
	for r, err := range l.Read(ctx, eventlog.Query{Correlation: chain, System: true}) {
		if err != nil {
			return nil, err
		}
		saga, _, ok := splitStream(r.Stream)
		if !ok {
			continue
		}
		var e event
		if err := r.Decode(&e); err != nil {
			return nil, err
		}
		n := e.Next
		if n == nil || n.Kind != kindChange || n.Sent != 0 {
			continue
		}
		typ := doType(saga, n.Step)
		if n.Of != 0 {
			typ = undoType(saga, n.Step)
		}
		list = append(list, &Node{ChainStep: outbox.ChainStep{Linked: true, Over: r.Time, Info: outbox.Info{
			ID: r.ID, Type: typ, Target: n.On, Chain: chain, Cause: r.Meta.Causation, Time: r.Time, Shard: r.Shard}}})
	}
	return list, nil
}

// String draws the tree, a line for each step:
//
//	transfer debit on account/a: done after 2ms
//	└ transfer reply to 7: done after 1ms
func (t *Tree) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "chain %s\n", t.Chain)
	draw(&b, t.Roots, "")
	return b.String()
}

// draw writes nodes with what they emitted. A node that emitted one other leads on to it
// without going deeper, so that a chain stays a column.
func draw(b *strings.Builder, nodes []*Node, indent string) {
	for i, n := range nodes {
		branch, below := "├ ", "│ "
		if i == len(nodes)-1 {
			branch, below = "└ ", "  "
		}
		fmt.Fprintf(b, "%s%s%s\n", indent, branch, n)
		for len(n.Emitted) == 1 {
			n = n.Emitted[0]
			fmt.Fprintf(b, "%s%s%s\n", indent, below+"→ ", n)
		}
		draw(b, n.Emitted, indent+below)
	}
}

// String describes the step in a line.
func (n *Node) String() string {
	text := n.label() + ": " + n.outcome()
	if n.Attempts > 0 && !n.Refused || n.Attempts > 1 {
		text += fmt.Sprintf(", %d failed %s", n.Attempts, map[bool]string{true: "attempt", false: "attempts"}[n.Attempts == 1])
	}
	if n.Err != "" {
		text += " (" + n.Err + ")"
	}
	return text
}

func (n *Node) label() string {
	words := strings.Split(strings.TrimPrefix(n.Type, "$saga/"), "/")
	if len(words) == 3 && words[2] == "do" {
		words = words[:2]
	}
	label := strings.Join(words, " ")
	if saga, id, ok := splitStream(n.Target); ok {
		if len(words) == 0 || words[0] != saga {
			return label + " to " + saga + "/" + id
		}
		return label + " to " + id
	}
	return label + " on " + n.Target
}

func (n *Node) outcome() string {
	took := n.Over.Sub(n.Time).Round(time.Microsecond).String()
	switch {
	case n.Over.IsZero() && n.Due.After(n.Time):
		return "waits until " + n.Due.Format(time.RFC3339)
	case n.Over.IsZero():
		return "pending"
	case n.Dead:
		return "dead after " + took
	case n.Cancelled:
		return "taken back after " + took
	case n.Refused:
		return "refused after " + took
	case n.Linked:
		return "done at once"
	}
	return "done after " + took
}
