package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

func newAudit(s *site) *cobra.Command {
	acks, format := "", cli.Table
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Hold the whole bank against what it promises",
		Long: `Audit first brings to its end what is under way, and then replays
the log from its first event:

  every transfer has ended as exactly one of completed or refunded, or waits
  for approval, and its postings are those of its state;
  fees are what was agreed, and kept if and only if the transfer is completed;
  every due date of a standing order has its transfer, one;
  payments to other banks are there, back, or in suspense;
  interest was paid once a month, on the right balance, and adds up;
  no transfer that was acknowledged (--acks) is lost;
  money is conserved, in every transaction and over all accounts of a currency;
  the read model equals the replay, row by row.

It lists what it finds wrong; the exit status is then 1.`,
		Example: "  bank audit --log data --acks acks.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var ids []string
			if acks != "" {
				var err error
				if ids, err = readAcks(acks); err != nil {
					return err
				}
			}
			return s.withReadModel(cmd, cli.Write, finish, func(ctx context.Context, log *eventlog.Log, m *bank.ReadModel) error {
				return audit(ctx, cmd, log, m, ids, format)
			})
		},
	}
	cmd.Flags().StringVar(&acks, "acks", "", "`file` of ids that load acknowledged")
	format.AddFlag(cmd)
	return cmd
}

func finish(ctx context.Context, log *eventlog.Log) error { return bank.Finish(ctx, log, patience) }

func audit(ctx context.Context, cmd *cobra.Command, log *eventlog.Log, m *bank.ReadModel, acks []string, format cli.Format) error {
	p := cli.StartProgress(cmd.ErrOrStderr(), "replay", "events")
	a, err := bank.Examine(ctx, log, m, acks, func(events int) { p.Set(int64(events), 0) })
	p.Stop()
	if err != nil {
		return err
	}
	if err := writeAudit(cmd.OutOrStdout(), a, format); err != nil {
		return err
	}
	if n := len(a.Problems); n > 0 {
		return fmt.Errorf("problems were found: %d", n)
	}
	return nil
}

func writeAudit(w io.Writer, a *bank.Audit, format cli.Format) error {
	count := func(n int) string { return cli.Count(int64(n)) }
	problems := "none"
	if n := len(a.Problems); n > 0 {
		problems = count(n)
	}
	err := cli.WriteObject(w, format, a, []cli.Field{
		{Name: "accounts", Value: count(a.Accounts)},
		{Name: "currencies", Value: strings.Join(a.Currencies, ", ")},
		{Name: "postings", Value: count(a.Postings)},
		{Name: "transactions", Value: count(a.Transactions)},
		{Name: "transfers", Value: count(a.Transfers)},
		{Name: "  completed", Value: count(a.Completed)},
		{Name: "  refunded", Value: fmt.Sprintf("%s, %s of them before any money moved", count(a.Refunded), count(a.Refused))},
		{Name: "  wait for approval", Value: count(a.Waiting)},
		{Name: "fees", Value: count(a.Fees)},
		{Name: "standing orders", Value: fmt.Sprintf("%s, executed %s times", count(a.Orders), count(a.Executions))},
		{Name: "payments", Value: fmt.Sprintf("%s, %s accepted, %s in suspense", count(a.Payments), count(a.Sent), count(a.Unsent))},
		{Name: "interest payments", Value: count(a.Interest)},
		{Name: "acknowledged", Value: count(a.Acknowledged)},
		{Name: "problems", Value: problems},
	})
	if err != nil || format != cli.Table {
		return err
	}
	for _, problem := range a.Problems {
		if _, err := fmt.Fprintf(w, "  %q\n", problem); err != nil {
			return err
		}
	}
	return nil
}
