package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

func newOpen(s *site) *cobra.Command {
	ledger := false
	cmd := &cobra.Command{
		Use:   "open ACCOUNT CURRENCY",
		Short: "Open an account",
		Long: `Open opens an account for a currency, and makes the log where there is none. A
customer's account cannot be overdrawn; one of the books (--ledger) can.`,
		Example: "  bank open --log data ada EUR",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := bank.Customer
			if ledger {
				kind = bank.Ledger
			}
			return s.change(cmd, cli.Create, bank.AccountID{Name: args[0], Currency: args[1]}, func(tx *eventlog.Tx, id bank.AccountID) error {
				return bank.Open(tx, id, kind)
			})
		},
	}
	cmd.Flags().BoolVar(&ledger, "ledger", false, "an account of the books: its balance may be negative")
	return cmd
}

func newFreeze(s *site) *cobra.Command {
	return newLifeCommand(s, "freeze", "Stop an account: no money comes in or goes out", bank.Freeze)
}

func newThaw(s *site) *cobra.Command {
	return newLifeCommand(s, "thaw", "Let a frozen account go on", bank.Thaw)
}

func newClose(s *site) *cobra.Command {
	return newLifeCommand(s, "close", "Close an empty account for ever", bank.Close)
}

func newLifeCommand(s *site, name, short string, fn func(*eventlog.Tx, bank.AccountID) error) *cobra.Command {
	return &cobra.Command{
		Use:     name + " ACCOUNT CURRENCY",
		Short:   short,
		Example: "  bank " + name + " --log data ada EUR",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.change(cmd, cli.Write, bank.AccountID{Name: args[0], Currency: args[1]}, fn)
		},
	}
}

func newDeposit(s *site) *cobra.Command {
	return newCashCommand(s, "deposit", "Bring cash to an account", bank.Deposit)
}

func newWithdraw(s *site) *cobra.Command {
	return newCashCommand(s, "withdraw", "Take cash from an account", bank.Withdraw)
}

func newCashCommand(s *site, name, short string, fn func(*eventlog.Tx, bank.AccountID, int64, bank.Date, string) error) *cobra.Command {
	description, date := "", ""
	cmd := &cobra.Command{
		Use:     name + " ACCOUNT AMOUNT CURRENCY",
		Short:   short,
		Long:    short + ". The amount is a whole number of minor units; its counterpart\nis posted to the account " + bank.Cash("").Name + ".",
		Example: "  bank " + name + " --log data ada 5000 EUR --description wages",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := amountArg(args[1])
			if err != nil {
				return err
			}
			from, err := dateArg("date", date)
			if err != nil {
				return err
			}
			return s.change(cmd, cli.Write, bank.AccountID{Name: args[0], Currency: args[2]}, func(tx *eventlog.Tx, id bank.AccountID) error {
				return fn(tx, id, amount, from, description)
			})
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "`text` for the statement")
	cmd.Flags().StringVar(&date, "date", "", "`day` from which on it counts, for interest (default: today)")
	return cmd
}

// change does something to an account and writes what has become of it.
func (s *site) change(cmd *cobra.Command, a cli.Access, id bank.AccountID, fn func(*eventlog.Tx, bank.AccountID) error) error {
	return s.with(cmd, a, func(ctx context.Context, log *eventlog.Log) error {
		var account bank.Account
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
			if err := fn(tx, id); err != nil {
				return err
			}
			a, err := bank.Accounts.Load(tx, id.Stream())
			if err == nil {
				account = *a
			}
			return err
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s\n", id.Name, account.State, money(account.Balance, id.Currency))
		return err
	})
}
