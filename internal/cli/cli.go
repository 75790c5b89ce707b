// Package cli is what the commands of this module share: exit statuses, the
// flag that names a log, output formats, and progress.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
)

// Exit statuses of every command.
const (
	OK       = 0
	Failed   = 1
	Misused  = 2 // the command line is wrong; nothing was done
	Conflict = 3 // an expectation did not hold, or an id came with other content
)

// Main runs root with the arguments of the process and exits with its status.
// SIGINT and SIGTERM end the command's context; a second one ends the process at
// once.
func Main(root *cobra.Command) {
	signals := make(chan os.Signal, 2) // both, however close they come
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		cancel()
		die(<-signals)
	}()
	os.Exit(Run(ctx, root, os.Args[1:]))
}

// die ends the process by a signal, as if nobody had listened to it.
func die(s os.Signal) {
	signal.Reset(s)
	self, err := os.FindProcess(os.Getpid())
	if err == nil && self.Signal(s) == nil {
		select {}
	}
	os.Exit(Failed)
}

// Run runs root, writes its error, if any, to its error stream, and returns the
// exit status. Whatever fails before a command's RunE begins is misuse.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
	begun := false
	note(root, &begun)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return OK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = fmt.Errorf("interrupted: %w", err)
	case !begun:
		err = usageError{err}
	}
	if errors.As(err, new(reportedError)) {
		return Status(err)
	}
	fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), strings.TrimPrefix(err.Error(), root.Name()+": "))
	status := Status(err)
	if status == Misused {
		fmt.Fprintf(root.ErrOrStderr(), "Try '%s --help'.\n", cmd.CommandPath())
	}
	return status
}

// unknown refuses what is no sub-command, and names those that are meant perhaps.
func unknown(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	err := fmt.Errorf("unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, ", "))
	}
	return err
}

// note makes every command below c say that it has begun. One that only has
// sub-commands shows its help.
func note(c *cobra.Command, begun *bool) {
	if c.RunE == nil && c.HasSubCommands() {
		c.Args, c.RunE = unknown, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return run(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		note(sub, begun)
	}
}

type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage returns an error that says how the command line is wrong.
func Usage(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

type reportedError struct{ error }

func (e reportedError) Unwrap() error { return e.error }

// Status returns the exit status that an error means.
func Status(err error) int {
	switch {
	case err == nil:
		return OK
	case errors.As(err, new(usageError)):
		return Misused
	case errors.Is(err, eventlog.ErrConflict), errors.Is(err, eventlog.ErrIDReused):
		return Conflict
	}
	return Failed
}
