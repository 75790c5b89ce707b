// Package sagarunner is the command that rolls steps and sagas forward, to be
// called from a main that brings the handlers:
//
//	func main() { sagarunner.Main(sagarunner.Options{Handlers: bank.Handlers()}) }
//
// It works on a log in a directory (package remotelog) or in Datastore (package
// datastorelog) until SIGINT or SIGTERM.
// Every flag can be given as a variable of the environment: --sweep as
// EVENTLOG_SWEEP.
package sagarunner

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

// Options say what the command works with.
type Options struct {
	// Name is what the command calls itself; "" is sagarunner.
	Name string
	// Handlers do the steps: those of sagas ([saga.Saga].Handlers) and of the
	// outbox ([outbox.On]).
	Handlers []outbox.Handler
	// Log has the codecs and upcasts that the events need. nil: none.
	Log *eventlog.Options
	// Beside, if not nil, is what else the process does with the log while it runs:
	// start sagas, serve requests, run projections. ctx ends with the command; when Beside returns, so does the command, with
	// the error if there is one. It is not called with --drain.
	Beside func(ctx context.Context, l *eventlog.Log) error
}

// Main runs the command with the arguments of the process and exits: status 0
// for success, 1 for failure, 2 for wrong usage. SIGINT and SIGTERM end it after
// the batches in hand, with its leases given back, or at the latest two seconds
// after what --grace says; a second one ends it at once.
func Main(o Options) { cli.Main(newCommand(o)) }

func newCommand(o Options) *cobra.Command {
	if o.Name == "" {
		o.Name = "sagarunner"
	}
	s := &site{Options: o}
	cmd := &cobra.Command{
		Use:   o.Name,
		Short: "Roll the steps and sagas of an event log forward",
		Long: o.Name + ` rolls the steps and sagas that are stored in the event log forward, each exactly once, however often it is stopped, killed and started
again. It runs until SIGINT or SIGTERM: then it finishes the batches in hand, for
as long as --grace, and gives its leases back, so that the next one goes on at
once. A second signal ends it at once, which loses nothing either.

It also gives the relaxed appends of all processes their places.

Where the processes that start sagas name the same --notify, it hears of their
commits at once, and else at its next --sweep; they hear of its own.

With --listen it answers GET /health/live, /health/ready (200, or 503 with the
reasons, such as that it cannot keep its leases) and /metrics, for which it counts
the sagas of the log that are in each state, at most a --sweep behind. What fails is
written to standard error. Each flag can be set by the variable in brackets; the
command line wins. Exit status: 0 ok, 1 failed, 2 wrong usage.`,
		Example: "  " + o.Name + ` --log data
  ` + o.Name + ` --log data --drain
  ` + o.Name + ` --log data --listen 127.0.0.1:9464 --log-format json
  ` + o.Name + ` --log data --notify pubsub://my-project/eventlog.commits
  EVENTLOG_LOG=data EVENTLOG_SWEEP=200ms ` + o.Name,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	s.store.AddFlag(cmd)
	s.notify.AddFlag(cmd)
	s.daemon.AddFlags(cmd)
	s.tuning.addFlags(cmd)
	cmd.Flags().BoolVar(&s.drain, "drain", false, "stop as soon as nothing is due")
	cli.Env(cmd)
	return cmd
}
