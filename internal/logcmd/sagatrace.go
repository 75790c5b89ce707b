package logcmd

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

// chainTree is what sagas trace prints as JSON.
type chainTree struct {
	Saga  string      `json:"saga"`
	ID    string      `json:"id"`
	Chain eventlog.ID `json:"chain"`
	Steps []branch    `json:"steps"`
}

// branch is a step of a chain, with those that it has emitted.
type branch struct {
	step
	State   string    `json:"state"`         // what became of it
	Over    time.Time `json:"over,omitzero"` // since when
	Linked  bool      `json:"linked,omitzero"`
	ToShard int       `json:"to_shard"` // in which it works
	Steps   []branch  `json:"steps,omitempty"`
}

func newSagaTrace(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "trace SAGA ID",
		Short: "Show what followed from what, as a tree over all shards",
		Long: `Trace prints the chain that an instance of a saga belongs to, over all shards, as
a tree: each step of the outbox below the one that emitted it, on which stream it
works, how long it took, how many attempts failed, and what became of it. The
chain begins with the transaction that started the instance: of a child the tree
is its parent's.

-o json is the tree, each step with the "steps" that it emitted; a saga with a loop
makes it deep. -o jsonl is the same flat: a step a line, behind the one that emitted
it, whose id is its "cause".`,
		Example: `  eventlog sagas trace transfer t1
  eventlog sagas trace transfer t1 -o jsonl | jq -r 'select(.state != "done") | .type'`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeSagas(store, 2, anyInstance),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, id, err := checkInstance(args)
			if err != nil {
				return err
			}
			return look(cmd, store, func(cmd *cobra.Command, l *eventlog.Log) error {
				i, err := showInstance(cmd.Context(), l, name, id)
				if err != nil {
					return err
				}
				if i.Chain.IsZero() {
					return fmt.Errorf("saga: %s/%s: its chain is not known", name, id)
				}
				tree, err := saga.Trace(cmd.Context(), l, i.Chain)
				if err != nil {
					return err
				}
				return writeTree(cmd.OutOrStdout(), format, l, i, tree)
			})
		},
	}
	format.AddFlag(cmd)
	return cmd
}

func writeTree(w io.Writer, f cli.Format, l *eventlog.Log, i saga.Info, tree *saga.Tree) error {
	switch f {
	case cli.Table:
		return drawTree(w, tree)
	case cli.JSON:
		return cli.WriteObject(w, f, chainTree{Saga: i.Saga, ID: i.ID, Chain: i.Chain, Steps: branches(l, tree.Roots)}, nil)
	}
	list := cli.NewList[branch](w, f, nil)
	return errors.Join(addFlat(list, l, tree.Roots), list.End())
}

// drawTree draws the tree, a line for each step, whatever stands in the errors.
func drawTree(w io.Writer, tree *saga.Tree) error {
	tame(tree.Roots)
	for line := range strings.Lines(tree.String()) {
		if _, err := fmt.Fprintln(w, cli.Printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func tame(nodes []*saga.Node) {
	for _, n := range nodes {
		n.Err = brief(n.Err)
		tame(n.Emitted)
	}
}

func branches(l *eventlog.Log, nodes []*saga.Node) []branch {
	list := make([]branch, len(nodes))
	for i, n := range nodes {
		list[i] = newBranch(l, n)
		list[i].Steps = branches(l, n.Emitted)
	}
	return list
}

func addFlat(list *cli.List[branch], l *eventlog.Log, nodes []*saga.Node) error {
	for _, n := range nodes {
		if err := list.Add(newBranch(l, n)); err != nil {
			return err
		}
		if err := addFlat(list, l, n.Emitted); err != nil {
			return err
		}
	}
	return nil
}

// newBranch leaves the payload out: each step of a saga carries all its data.
func newBranch(l *eventlog.Log, n *saga.Node) branch {
	b := branch{step: newStep(n.Info, l.Now()), Over: n.Over, Linked: n.Linked, ToShard: l.ShardOf(n.Target)}
	b.step.Data = nil
	switch {
	case n.Over.IsZero() && b.step.State == waiting:
		b.State = string(waiting)
	case n.Over.IsZero():
		b.State = "pending"
	case n.Dead:
		b.State = "dead"
	case n.Cancelled:
		b.State = "cancelled"
	case n.Refused:
		b.State = "refused"
	default:
		b.State = "done"
	}
	return b
}
