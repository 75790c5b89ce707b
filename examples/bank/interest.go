package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func newInterest(s *site) *cobra.Command {
	i, month, format := bank.Interest{}, "", cli.Table
	cmd := &cobra.Command{
		Use:   "interest CURRENCY",
		Short: "Pay the interest of a month on all accounts",
		Long: `Interest pays customers a twelfth of the year's rate of what was posted to
their accounts with a date up to the end of the month, rounded half to even to
whole minor units; the counterpart is posted to ` + bank.InterestPaid("").Name + `. Accounts that
are frozen or closed are passed over.

It happens once for each month and currency: killed and started again it goes
on where it was, and when it is done it does nothing. The exit status is 3 when
it was started with another rate.`,
		Example: "  bank interest --log data EUR --month 2026-11 --rate 150",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if i.Month, err = bank.ParseMonth(month); err != nil {
				return cli.Usage("--month %q is not of the form 2006-01", month)
			}
			i.Currency = args[0]
			return s.with(cmd, cli.Write, func(ctx context.Context, log *eventlog.Log) error {
				return interest(ctx, cmd, s.sagas(log), i, format)
			})
		},
	}
	cmd.Flags().StringVar(&month, "month", "", "the `month`, which must be over")
	cmd.Flags().Int64Var(&i.Rate, "rate", 100, "rate of a year in `basis points`, hundredths of a percent")
	format.AddFlag(cmd)
	_ = cmd.MarkFlagRequired("month") // the flag is there
	return cmd
}

func interest(ctx context.Context, cmd *cobra.Command, sagas *outbox.Runner, i bank.Interest, format cli.Format) error {
	st, err := runInterest(ctx, sagas, i, cli.StartProgress(cmd.ErrOrStderr(), "interest", "accounts"))
	if err != nil {
		return err
	}
	if st.State != saga.Completed {
		return fmt.Errorf("the interest of %s in %s went back: %w", i.Month, i.Currency, st.Err)
	}
	i = st.Data
	return cli.WriteObject(cmd.OutOrStdout(), format, i, []cli.Field{
		{Name: "month", Value: string(i.Month)},
		{Name: "accounts", Value: cli.Count(int64(i.Accounts))},
		{Name: "  paid", Value: cli.Count(int64(i.Paid))},
		{Name: "  passed over", Value: cli.Count(int64(i.Refused))},
		{Name: "sum", Value: money(i.Sum, i.Currency)},
	})
}

// runInterest starts the interest of a month and runs the sagas until it has ended.
func runInterest(ctx context.Context, sagas *outbox.Runner, i bank.Interest, p *cli.Progress) (st saga.Status[bank.Interest], err error) {
	defer p.Stop()
	if _, err := sagas.Log.Update(ctx, i.Start); err != nil {
		return st, err
	}
	err = while(ctx, sagas.Run, func(ctx context.Context) error {
		for st, err = range bank.InterestRuns.Follow(ctx, sagas.Log, i.ID()) {
			if err != nil {
				return err
			}
			p.Set(int64(st.Ended), int64(st.Children))
		}
		return nil
	})
	return st, err
}
