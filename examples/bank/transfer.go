package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func newTransfer(s *site) *cobra.Command {
	id := ""
	cmd := &cobra.Command{
		Use:   "transfer FROM TO AMOUNT CURRENCY",
		Short: "Move money from one account to another",
		Long: `Transfer moves money as a saga: it debits one account, then credits the other,
and goes back when the credit is refused because the account is closed or
frozen. What the payer's terms say comes in between: approval by a person, and
a fee (see "bank terms"). It returns when the transfer has ended, or waits for
approval (see "bank approve"), which it does for ` + fmt.Sprint(bank.ApprovalTime.Hours()) + ` hours. The exit status is 0
when it is completed or waits, 1 when it was refused or refunded.

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
				return transfer(ctx, cmd, s.sagas(log), t)
			})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`id` of the transfer: the same one again does nothing (default: a new one)")
	return cmd
}

func transfer(ctx context.Context, cmd *cobra.Command, sagas *outbox.Runner, t bank.Transfer) error {
	if _, err := sagas.Log.Update(ctx, t.Start); err != nil {
		return err
	}
	st, err := runTransfer(ctx, sagas, t.ID)
	if err != nil {
		return err
	}
	if bank.Waiting(st) {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s waits for approval\n", described(st))
		return err
	}
	return report(cmd, st)
}

// runTransfer runs the sagas until a transfer has ended or waits for a person.
func runTransfer(ctx context.Context, sagas *outbox.Runner, id string) (st saga.Status[bank.Transfer], err error) {
	err = while(ctx, sagas.Run, func(ctx context.Context) error {
		for st, err = range bank.Transfers.Follow(ctx, sagas.Log, id) {
			if err != nil || bank.Waiting(st) {
				return err
			}
		}
		return nil
	})
	return st, err
}

func described(st saga.Status[bank.Transfer]) string {
	t := st.Data
	text := fmt.Sprintf("transfer %s of %s from %s to %s", t.ID, money(t.Amount, t.Currency), t.From, t.To)
	if t.Fee > 0 {
		text += fmt.Sprintf(", fee %d,", t.Fee)
	}
	return text
}

// report writes how a transfer has ended.
func report(cmd *cobra.Command, st saga.Status[bank.Transfer]) error {
	switch {
	case st.State == saga.Completed:
		_, err := fmt.Fprintln(cmd.OutOrStdout(), described(st)+" is completed")
		return err
	case st.Refused == bank.Transfers.Steps[0].Name:
		return fmt.Errorf("%s was refused: %w", described(st), st.Err)
	}
	return fmt.Errorf("%s was refunded: %w", described(st), st.Err)
}
