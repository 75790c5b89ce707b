package main

import (
	"context"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

var balanceColumns = []column[bank.Balance]{
	{"account", false, func(b bank.Balance) string { return b.Account }},
	{"currency", false, func(b bank.Balance) string { return b.Currency }},
	{"balance_cents", true, func(b bank.Balance) string { return strconv.FormatInt(b.Cents, 10) }},
}

func newBalances(s *site) *cobra.Command {
	var o output
	all := false
	cmd := &cobra.Command{
		Use:     "balances",
		Short:   "List what the accounts hold",
		Long:    "Balances lists the accounts by name and currency. Those that hold nothing are left\nout. The read model is brought up to date before.",
		Example: "  bank balances --log data -o csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withReadModel(cmd, cli.Read, nil, func(ctx context.Context, _ *eventlog.Log, m *bank.ReadModel) error {
				list := m.Balances(ctx)
				if !all {
					list = only(list, func(b bank.Balance) bool { return b.Cents != 0 })
				}
				return write(cmd.OutOrStdout(), o, balanceColumns, list)
			})
		},
	}
	o.addFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also accounts that hold nothing")
	return cmd
}

// only leaves out what keep does not want.
func only[T any](list iter.Seq2[T, error], keep func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for b, err := range list {
			if (err != nil || keep(b)) && !yield(b, err) {
				return
			}
		}
	}
}
