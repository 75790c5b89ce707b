package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

func newApprove(s *site) *cobra.Command {
	return newDecision(s, "approve", "Let a transfer go on that waits for approval", true)
}

func newRefuse(s *site) *cobra.Command {
	return newDecision(s, "refuse", "Send a transfer back that waits for approval", false)
}

func newDecision(s *site, name, short string, approved bool) *cobra.Command {
	d := bank.Decision{Approved: approved}
	cmd := &cobra.Command{
		Use:   name + " TRANSFER",
		Short: short,
		Long: short + `.
The first decision counts; without one the transfer goes back after ` + fmt.Sprint(bank.ApprovalTime.Hours()) + ` hours. It
returns when the transfer has ended. The exit status is 0 when it ended as it
was decided.`,
		Example: "  bank " + name + " --log data t1 --reason \"I know the payee\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.with(cmd, cli.Write, func(ctx context.Context, log *eventlog.Log) error {
				return decide(ctx, cmd, s.sagas(log), args[0], d)
			})
		},
	}
	cmd.Flags().StringVar(&d.By, "by", os.Getenv("USER"), "`name` of who decides")
	cmd.Flags().StringVar(&d.Reason, "reason", "", "`text` for the transfer's history")
	return cmd
}

func decide(ctx context.Context, cmd *cobra.Command, sagas *outbox.Runner, id string, d bank.Decision) error {
	log := sagas.Log
	if _, err := bank.Transfers.Status(ctx, log, id); err != nil {
		return err
	}
	st, err := runTransfer(ctx, sagas, id)
	if err != nil {
		return err
	}
	if !bank.Waiting(st) {
		return fmt.Errorf("%s is %s and waits for no approval", described(st), st.State)
	}
	if _, err := log.Update(ctx, func(tx *eventlog.Tx) error { return bank.Decide(tx, id, d) }); err != nil {
		return err
	}
	err = while(ctx, sagas.Run, func(ctx context.Context) (err error) {
		st, err = bank.Transfers.Await(ctx, log, id)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case d.Approved:
		return report(cmd, st)
	case st.State == saga.Completed:
		return fmt.Errorf("%s is completed: %s has approved it before", described(st), st.Data.Decision.By)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s went back: %v\n", described(st), st.Err)
	return err
}
