// Package logcmd holds the sub-commands of cmd/eventlog.
package logcmd

import (
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

// Main runs the command with the arguments of the process and exits.
func Main() { cli.Main(New()) }

// New returns the command "eventlog".
func New() *cobra.Command {
	store := new(cli.Store)
	root := &cobra.Command{
		Use:   "eventlog",
		Short: "Look at, write to, check, copy and measure an event log",
		Long: `eventlog works on the event log that --log names: one in a directory, which it
shares with the other commands that have it open, or one in Google Cloud
Datastore.

Results go to standard output (-o table, json or jsonl), everything else to
standard error. Exit status: 0 ok, 1 failed, 2 wrong usage, 3 conflict (an
expected version did not hold, or an id came again with other content).`,
		Example: `  eventlog append account/ada bank.opened '{"owner":"Ada"}' --log data
  export EVENTLOG_LOG=data
  eventlog read account/ada
  eventlog read --type bank.opened -o jsonl
  eventlog steps --by-type
  eventlog dead redrive --type bank.credit
  eventlog sagas list --state parked
  eventlog verify`,
	}
	store.AddFlag(root)
	root.AddCommand(
		newAppend(store), newFold(store), newRead(store), newTimeline(store), newStreams(store), newStats(store), newVerify(store), newDoctor(store),
		newSteps(store), newTimers(store), newDead(store), newSagas(store),
		newBackup(store), newRestore(store), newExport(store), newImport(store), newBench(), newCost(),
	)
	return root
}
