// Package sagarunner is the command that rolls steps and sagas forward, to be
// called from a main that brings the handlers:
//
//	func main() { sagarunner.Main(sagarunner.Options{Handlers: bank.Handlers()}) }
//
// It works on a log in a directory (package pebblelog) until SIGINT or SIGTERM.
package sagarunner

import (
	"errors"
	"log/slog"

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
}

// Main runs the command with the arguments of the process and exits: status 0
// for success, 1 for failure, 2 for wrong usage. SIGINT and SIGTERM end it after
// the batches in hand; a second one ends it at once.
func Main(o Options) { cli.Main(newCommand(o)) }

func newCommand(o Options) *cobra.Command {
	if o.Name == "" {
		o.Name = "sagarunner"
	}
	s := &site{Options: o}
	cmd := &cobra.Command{
		Use:   o.Name,
		Short: "Roll the steps and sagas of an event log forward",
		Long: o.Name + ` rolls the steps and sagas that are stored in the event log in a directory
forward, each exactly once, however often it is stopped, killed and started
again. It runs until SIGINT or SIGTERM, finishing the batches in hand, and
writes what fails to standard error. Exit status: 0 ok, 1 failed, 2 wrong usage.`,
		Example: "  " + o.Name + ` --log data
  ` + o.Name + ` --log data --drain`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	s.store.AddFlag(cmd)
	cmd.Flags().BoolVar(&s.drain, "drain", false, "stop as soon as nothing is due")
	return cmd
}

// A site is where the command works.
type site struct {
	Options
	store cli.Store
	drain bool
}

func (s *site) run(cmd *cobra.Command) (err error) {
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	log, err := s.store.Open(cmd.Context(), cli.Write, s.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	r := &outbox.Runner{Log: log, Handlers: s.Handlers, Logger: logger}
	if s.drain {
		return r.Drain(cmd.Context())
	}
	logger.Info(s.Name+": running", "handlers", len(s.Handlers))
	defer func() { logger.Info(s.Name + ": stopped") }()
	return r.Run(cmd.Context())
}
