// Package projector is the command that keeps read models up to date, to be
// called from a main that brings the projections:
//
//	func main() { projector.Main(projector.Options{Projections: bank.Projections()}) }
//
// Its sub-commands run the projections until SIGTERM, rebuild one, and show how
// they fare; health and metrics are served over HTTP where that is asked for. It works on
// a log in a directory (package pebblelog) and a read model in an SQLite file (package
// sqlsink), or on both in Datastore (packages datastorelog and datastoresink). Programs that
// write to the log meanwhile share it: see package remotelog for a directory.
package projector

import (
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/projection/datastoresink"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// Options say what the command works with.
type Options struct {
	// Projections are what it keeps up to date where the read model is in SQLite.
	Projections []sqlsink.Projection
	// Datastore are what it keeps up to date where the read model is in Datastore:
	// beside a log that is there, where no SQLite file is named.
	Datastore []datastoresink.Projection
	// DB returns the SQLite file of the read model of the log in dir, where the
	// flag --db does not name one. nil: readmodel.db in dir, so that a log that
	// is removed or replaced takes it along.
	DB func(dir string) string
	// Log has the codecs and upcasts that the events need. nil: none.
	Log *eventlog.Options
}

// Main runs the command with the arguments of the process and exits: status 0
// for success, 1 for failure, 2 for wrong usage. SIGINT and SIGTERM end it after
// the transactions in hand, in 8 seconds at most; a second one ends it at once.
func Main(o Options) { cli.Main(newCommand(o)) }

func newCommand(o Options) *cobra.Command { return newCommandAt(&site{Options: o}) }

func newCommandAt(s *site) *cobra.Command {
	run := newRun(s)
	root := &cobra.Command{
		Use:   "projector",
		Short: "Keep read models up to date with an event log",
		Long: `projector follows an event log and keeps read models up to date: of a log in a
directory in an SQLite file, of one in Datastore in its database, or in the
SQLite file that --db names. Each event takes effect exactly once, however often
projector is stopped, killed and started again.

Without a sub-command it runs until SIGINT or SIGTERM (see "projector run").
Other commands may have the log open meanwhile. Results go to standard output (-o table, json or
jsonl), everything else to standard error. Exit status: 0 ok, 1 failed, 2 wrong
usage.`,
		Example: `  projector --log data
  projector --log data --listen 127.0.0.1:9464 --log-format json
  projector --log datastore://my-project/bank --notify pubsub://my-project/eventlog.commits
  projector status --log data
  projector rebuild balances --log data`,
		Args: cobra.NoArgs,
		RunE: run.RunE,
	}
	s.addFlags(root)
	s.addRunFlags(root)
	root.AddCommand(run, newRebuild(s), newStatus(s))
	cli.Env(root)
	cli.Env(run)
	return root
}
