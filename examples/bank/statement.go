package main

import (
	"cmp"
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

var lineColumns = []column[bank.Line]{
	{"date", false, func(l bank.Line) string { return string(l.Date) }},
	{"amount_cents", true, func(l bank.Line) string { return strconv.FormatInt(l.Amount, 10) }},
	{"balance_cents", true, func(l bank.Line) string { return strconv.FormatInt(l.Balance, 10) }},
	{"currency", false, func(l bank.Line) string { return l.Currency }},
	{"transaction", false, func(l bank.Line) string { return cmp.Or(l.Transaction, l.Saga) }},
	{"description", false, func(l bank.Line) string { return l.Description }},
}

func newStatement(s *site) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "statement ACCOUNT",
		Short: "List what was posted to an account",
		Long: `Statement lists what was posted to an account, in the order in which it was
posted and with the balance behind each posting; currency by currency where it
has several. The read model is brought up to date before.`,
		Example: "  bank statement --log data Assets:US:BofA:Checking",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withReadModel(cmd, cli.Read, nil, func(ctx context.Context, _ *eventlog.Log, m *bank.ReadModel) error {
				return write(cmd.OutOrStdout(), o, lineColumns, m.Statement(ctx, args[0]))
			})
		},
	}
	o.addFlag(cmd)
	return cmd
}
