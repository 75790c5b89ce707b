package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func newPay(s *site) *cobra.Command {
	id, wait := "", 30*time.Second
	cmd := &cobra.Command{
		Use:   "pay FROM URL TO AMOUNT CURRENCY",
		Short: "Pay to an account at another bank",
		Long: `Pay moves money to an account at another bank, which is asked over HTTP at a URL
of its own: POST with the payment as JSON and the header ` + bank.IdempotencyKey + `.
200 accepts the payment, 422 refuses it for good. After any other answer, and
without one, it is asked again: the money stays in ` + bank.Suspense("").Name + ` meanwhile.

It returns when the payment has ended, or when --wait is over. The exit status
is 0 when it is completed or under way, 1 when it was refused.`,
		Example: "  bank pay --log data ada https://bank.example/payments \"DE02 1203\" 1250 EUR",
		Args:    cobra.ExactArgs(5),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := amountArg(args[3])
			if err != nil {
				return err
			}
			p := bank.Payment{ID: id, From: args[0], Bank: args[1], To: args[2], Amount: amount, Currency: args[4]}
			if p.ID == "" {
				p.ID = rand.Text()
			}
			return s.with(cmd, cli.Write, func(ctx context.Context, log *eventlog.Log) error {
				return pay(ctx, cmd, s.sagas(log), p, wait)
			})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`id` of the payment: the same one again does nothing (default: a new one)")
	cmd.Flags().DurationVar(&wait, "wait", wait, "for how long to wait for the other bank")
	return cmd
}

func pay(ctx context.Context, cmd *cobra.Command, sagas *outbox.Runner, p bank.Payment, wait time.Duration) error {
	if _, err := sagas.Log.Update(ctx, p.Start); err != nil {
		return err
	}
	st, err := runPayment(ctx, sagas, p.ID, wait)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("payment %s of %s from %s to %s", p.ID, money(p.Amount, p.Currency), p.From, p.To)
	switch {
	case st.State == saga.Completed:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is completed: %s\n", what, st.Data.Receipt)
	case st.State.Ended():
		err = fmt.Errorf("%s was refused: %w", what, st.Err)
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is under way\n", what)
	}
	return err
}

// runPayment runs the sagas until a payment has ended, or for as long as to wait.
func runPayment(ctx context.Context, sagas *outbox.Runner, id string, wait time.Duration) (st saga.Status[bank.Payment], err error) {
	err = while(ctx, sagas.Run, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		_, err := bank.Payments.Await(ctx, sagas.Log, id)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		return err
	})
	if err != nil {
		return st, err
	}
	return bank.Payments.Status(ctx, sagas.Log, id)
}
