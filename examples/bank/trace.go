package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

func newTrace(s *site) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Show what followed from what, as a tree over all shards",
		Long: `Trace shows the steps of a transfer, a payment, a standing order with all its
transfers, or the interest of a month (MONTH/CURRENCY): which step was caused
by which, on what it worked, how long it waited and what became of it.`,
		Example: "  bank trace --log data t1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.with(cmd, cli.Read, func(ctx context.Context, log *eventlog.Log) error {
				chain, err := bank.Chain(ctx, log, args[0])
				if err != nil {
					return err
				}
				tree, err := saga.Trace(ctx, log, chain)
				if err != nil {
					return err
				}
				if format == cli.Table {
					_, err = fmt.Fprint(cmd.OutOrStdout(), tree)
					return err
				}
				return cli.WriteObject(cmd.OutOrStdout(), format, branches(log, tree.Roots), nil)
			})
		},
	}
	format.AddFlag(cmd)
	return cmd
}

// A branch is a step of a chain, with those that it has caused.
type branch struct {
	Step     string    `json:"step"`
	Target   string    `json:"target"`
	From     int       `json:"from_shard"` // that holds the step
	To       int       `json:"to_shard"`   // that it works in
	Time     time.Time `json:"time"`
	Over     time.Time `json:"over,omitzero"`
	Due      time.Time `json:"due,omitzero"`
	Attempts int       `json:"attempts"` // that failed
	Error    string    `json:"error,omitempty"`
	Refused  bool      `json:"refused,omitempty"`
	Steps    []branch  `json:"steps,omitempty"`
}

func branches(log *eventlog.Log, nodes []*saga.Node) []branch {
	list := make([]branch, len(nodes))
	for i, n := range nodes {
		list[i] = branch{Step: n.Type, Target: n.Target, From: n.Shard, To: log.ShardOf(n.Target), Time: n.Time, Over: n.Over,
			Due: n.Due, Attempts: n.Attempts, Error: n.Err, Refused: n.Refused, Steps: branches(log, n.Emitted)}
	}
	return list
}
