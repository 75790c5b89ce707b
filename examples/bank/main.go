// Command bank keeps accounts on an event log. Without arguments it shows what
// it can do; with a sub-command it works on a log. Run
// "bank --help". How it is made is in package bank beside it.
package main

import (
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

func main() { cli.Main(newCommand()) }

func newCommand() *cobra.Command { return newCommandAt(new(site)) }

func newCommandAt(s *site) *cobra.Command {
	root := &cobra.Command{
		Use:   "bank",
		Short: "Accounts on an event log: an example",
		Long: `bank keeps accounts, moves money between them and imports books. All of it
are events of a log, in a directory or in Datastore; balances and statements are
a read model, derived from the log: in an SQLite file inside of that directory, or
in Datastore where the log is there.

Without a sub-command bank runs a demonstration in a new temporary directory, or
on a new log in Datastore that --log names.

Other processes on the log, such as sagarunner and projector, are woken by what
bank commits where all of them name the same --notify; without it they find it
themselves, somewhat later.

Amounts are whole numbers of minor units: 1250 EUR are 12.50 euros. Results go
to standard output, everything else to standard error. Exit status: 0 ok,
1 failed or refused, 2 wrong usage, 3 an id came again with other content.`,
		Example: `  bank
  bank import --log data books.csv
  bank balances --log data -o csv
  bank open --log data ada EUR && bank deposit --log data ada 5000 EUR
  bank transfer --log data ada bob 1250 EUR
  bank order add --log data rent ada bob 700 EUR --first 2027-01-31
  bank audit --log data`,
		Args: cobra.NoArgs,
		RunE: s.demo,
	}
	s.addFlags(root)
	root.AddCommand(newOpen(s), newDeposit(s), newWithdraw(s), newTerms(s), newFreeze(s), newThaw(s), newClose(s),
		newTransfer(s), newApprove(s), newRefuse(s), newOrder(s), newPay(s), newInterest(s),
		newImport(s), newBalances(s), newStatement(s), newTrace(s), newLoad(s), newAudit(s))
	return root
}
