package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

func newOrder(s *site) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "order",
		Short: "Standing orders: add, change, cancel, list",
		Long: `A standing order makes a transfer on its first date and then every so many
months, as soon as the day has begun in UTC and a sagarunner, load or audit
works on the log. Where nobody did for a while, the dates that were missed are
made up for, each with a transfer of its own. A month that lacks the day has it
on its last one. The transfer of a date has the id order/ORDER/DATE.`,
		Example: "  bank order add --log data rent ada bob 700 EUR --first 2027-01-31\n  bank order list --log data",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newOrderAdd(s), newOrderChange(s), newOrderCancel(s), newOrderList(s))
	return cmd
}

func newOrderAdd(s *site) *cobra.Command {
	first, months := "", 1
	cmd := &cobra.Command{
		Use:     "add ORDER FROM TO AMOUNT CURRENCY",
		Short:   "Place a standing order",
		Long:    "Add places a standing order under an id. The same one again does nothing; the\nexit status is 3 when there is another one of that id.",
		Example: "  bank order add --log data rent ada bob 700 EUR --first 2027-01-31",
		Args:    cobra.ExactArgs(5),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := amountArg(args[3])
			if err != nil {
				return err
			}
			day, err := dateArg("first", first)
			if err != nil {
				return err
			}
			return s.order(cmd, args[0], func(tx *eventlog.Tx, id string) error {
				if day == "" {
					day = bank.DateOf(tx.Time())
				}
				return bank.Place(tx, id, bank.OrderPlaced{From: args[1], To: args[2], Amount: amount, Currency: args[4], First: day, Months: months})
			})
		},
	}
	cmd.Flags().StringVar(&first, "first", "", "first `day` (default: today)")
	cmd.Flags().IntVar(&months, "months", 1, "`number` of months from one transfer to the next")
	return cmd
}

func newOrderChange(s *site) *cobra.Command {
	c, first := bank.OrderChanged{}, ""
	cmd := &cobra.Command{
		Use:     "change ORDER",
		Short:   "Change a standing order from the next transfer on",
		Long:    "Change changes what flags name, for all transfers that were not made yet. --first\nbegins a new series of dates.",
		Example: "  bank order change --log data rent --amount 750",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if cmd.Flags().Changed("amount") && c.Amount <= 0 || cmd.Flags().Changed("months") && c.Months <= 0 {
				return cli.Usage("--amount and --months are positive")
			}
			if c.First, err = dateArg("first", first); err != nil {
				return err
			}
			if c == (bank.OrderChanged{}) {
				return cli.Usage("nothing to change: name --to, --amount, --months or --first")
			}
			return s.order(cmd, args[0], func(tx *eventlog.Tx, id string) error { return bank.Change(tx, id, c) })
		},
	}
	cmd.Flags().StringVar(&c.To, "to", "", "`account` to pay to")
	cmd.Flags().Int64Var(&c.Amount, "amount", 0, "`amount` to pay")
	cmd.Flags().IntVar(&c.Months, "months", 0, "`number` of months from one transfer to the next")
	cmd.Flags().StringVar(&first, "first", "", "first `day` of a new series")
	return cmd
}

func newOrderCancel(s *site) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ORDER",
		Short:   "End a standing order",
		Example: "  bank order cancel --log data rent",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.order(cmd, args[0], bank.Cancel) },
	}
}

// order does something to a standing order and writes what has become of it.
func (s *site) order(cmd *cobra.Command, id string, fn func(*eventlog.Tx, string) error) error {
	return s.with(cmd, cli.Write, func(ctx context.Context, log *eventlog.Log) error {
		if _, err := log.Update(ctx, func(tx *eventlog.Tx) error { return fn(tx, id) }); err != nil {
			return err
		}
		o, err := bank.ShowOrder(ctx, log, id)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), orderLine(&o))
		return err
	})
}

func orderLine(o *bank.Standing) string {
	text := fmt.Sprintf("order %s of %s from %s to %s", o.ID, money(o.Amount, o.Currency), o.From, o.To)
	if o.State == bank.Cancelled {
		return text + " is cancelled"
	}
	return fmt.Sprintf("%s is due on %s and then %s", text, o.Next, every(o.Months))
}

func every(months int) string {
	if months == 1 {
		return "every month"
	}
	return fmt.Sprintf("every %d months", months)
}

var orderColumns = []column[bank.Standing]{
	{"order", false, func(o bank.Standing) string { return o.ID }},
	{"from", false, func(o bank.Standing) string { return o.From }},
	{"to", false, func(o bank.Standing) string { return o.To }},
	{"amount_cents", true, func(o bank.Standing) string { return strconv.FormatInt(o.Amount, 10) }},
	{"currency", false, func(o bank.Standing) string { return o.Currency }},
	{"months", true, func(o bank.Standing) string { return strconv.Itoa(o.Months) }},
	{"next", false, func(o bank.Standing) string { return string(o.Next) }},
	{"last", false, func(o bank.Standing) string { return string(o.Last) }},
	{"outcome", false, func(o bank.Standing) string { return o.Outcome }},
}

func newOrderList(s *site) *cobra.Command {
	var o output
	all := false
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the standing orders",
		Long:    "List shows each order's next date, its last one, and what became of the transfer\nof that day. Cancelled orders are left out.",
		Example: "  bank order list --log data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.with(cmd, cli.Read, func(ctx context.Context, log *eventlog.Log) error {
				keep := func(s bank.Standing) bool { return all || s.State == bank.Active }
				return write(cmd.OutOrStdout(), o, orderColumns, only(bank.ListOrders(ctx, log), keep))
			})
		},
	}
	o.addFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also cancelled orders")
	return cmd
}
