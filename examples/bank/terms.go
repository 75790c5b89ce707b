package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

func newTerms(s *site) *cobra.Command {
	var limit, flat, rate int64
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "terms ACCOUNT CURRENCY",
		Short: "Show or change the terms of an account: limit and fee",
		Long: `Terms shows what was agreed with the owner of an account, and changes what
flags name. A transfer of more than the limit waits for approval. A transfer
costs the fee and, of its amount, the rate in basis points (hundredths of a
percent), rounded half to even. It is charged to the payer and credited to the
account ` + bank.FeeIncome("").Name + `, and goes back when the transfer does.`,
		Example: "  bank terms --log data ada EUR --limit 100000 --fee 10 --rate 50",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			access, changes := cli.Read, cmd.Flags().Changed("limit") || cmd.Flags().Changed("fee") || cmd.Flags().Changed("rate")
			if changes {
				access = cli.Write
			}
			return s.with(cmd, access, func(ctx context.Context, log *eventlog.Log) error {
				id := bank.AccountID{Name: args[0], Currency: args[1]}
				var t bank.Terms
				work := func(tx *eventlog.Tx) error {
					a, err := bank.Accounts.Load(tx, id.Stream())
					if err != nil {
						return err
					}
					if a.State == "" {
						return fmt.Errorf("%s: %w", id, bank.ErrNoAccount)
					}
					t = a.Terms
					set(cmd, "limit", &t.Limit, limit)
					set(cmd, "fee", &t.Flat, flat)
					set(cmd, "rate", &t.Rate, rate)
					if !changes {
						return nil
					}
					return bank.Agree(tx, id, t)
				}
				if err := update(ctx, log, changes, work); err != nil {
					return err
				}
				return cli.WriteObject(cmd.OutOrStdout(), format, t, []cli.Field{
					{Name: "limit", Value: fmt.Sprint(t.Limit)},
					{Name: "fee", Value: fmt.Sprint(t.Flat)},
					{Name: "rate", Value: fmt.Sprint(t.Rate)},
				})
			})
		},
	}
	cmd.Flags().Int64Var(&limit, "limit", 0, "a transfer of more than this `amount` waits for approval; 0: none does")
	cmd.Flags().Int64Var(&flat, "fee", 0, "`amount` that a transfer costs")
	cmd.Flags().Int64Var(&rate, "rate", 0, "and in `basis points` of what it moves")
	format.AddFlag(cmd)
	return cmd
}

// set takes over what a flag says, if it is there.
func set[T any](cmd *cobra.Command, flag string, to *T, value T) {
	if cmd.Flags().Changed(flag) {
		*to = value
	}
}

// update runs fn as an Update or, where nothing changes, as a View.
func update(ctx context.Context, log *eventlog.Log, changes bool, fn func(*eventlog.Tx) error) error {
	if !changes {
		return log.View(ctx, fn)
	}
	_, err := log.Update(ctx, fn)
	return err
}
