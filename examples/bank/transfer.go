package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

func newTransfer(s *site) *cobra.Command {
	id := ""
	cmd := &cobra.Command{
		Use:   "transfer FROM TO AMOUNT CURRENCY",
		Short: "Move money from one account to another",
		Long: `Transfer moves money as a saga: it debits one account, then credits the other,
and goes back when the credit is refused because the account is closed or
frozen. It returns when the transfer has ended. The exit status is 0 when it
is completed, 1 when it was refused or refunded.

The transfer is promised as soon as its start is in the log: if the command is
killed behind that, the next load or audit, or a sagarunner, brings it to its
end. With --id the command can be repeated safely.`,
		Example: "  bank transfer --log data ada bob 1250 EUR",
		Args:    cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := amountArg(args[2])
			if err != nil {
				return err
			}
			t := bank.Transfer{ID: id, From: args[0], To: args[1], Amount: amount, Currency: args[3]}
			if t.ID == "" {
				t.ID = rand.Text()
			}
			return s.with(cmd, cli.Write, func(ctx context.Context, log *eventlog.Log) error {
				return transfer(ctx, cmd, log, t)
			})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`id` of the transfer: the same one again does nothing (default: a new one)")
	return cmd
}

func transfer(ctx context.Context, cmd *cobra.Command, log *eventlog.Log, t bank.Transfer) error {
	st, err := runTransfer(ctx, log, t)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("transfer %s of %s from %s to %s", t.ID, money(t.Amount, t.Currency), t.From, t.To)
	if st.State == saga.Completed {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), what+" is completed")
		return err
	}
	if st.Refused == bank.Transfers.Steps[0].Name {
		return fmt.Errorf("%s was refused: %w", what, st.Err)
	}
	return fmt.Errorf("%s was refunded: %w", what, st.Err)
}

// runTransfer starts a transfer and runs the sagas until it has ended.
func runTransfer(ctx context.Context, log *eventlog.Log, t bank.Transfer) (st saga.Status[bank.Transfer], err error) {
	if _, err := log.Update(ctx, t.Start); err != nil {
		return st, err
	}
	err = while(ctx, bank.Sagas(log).Run, func(ctx context.Context) error {
		st, err = bank.Transfers.Await(ctx, log, t.ID)
		return err
	})
	return st, err
}
