package cli

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A Logging is the flags that say how a daemon logs.
type Logging struct {
	format choice
	level  choice
}

// AddFlags adds --log-format and --log-level to cmd.
func (g *Logging) AddFlags(cmd *cobra.Command) {
	g.format = choice{"text", []string{"text", "json"}}
	g.level = choice{"info", []string{"debug", "info", "warn", "error"}}
	g.format.addFlag(cmd, "log-format", "`format` of what is logged")
	g.level.addFlag(cmd, "log-level", "the least `level` that is logged")
}

// New returns a logger that writes to w.
func (g *Logging) New(w io.Writer) *slog.Logger {
	o := new(slog.HandlerOptions)
	var level slog.Level
	if level.UnmarshalText([]byte(g.level.value)) == nil { // it is one of the choices
		o.Level = level
	}
	if g.format.value == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Failed is for the error that ends a daemon: where the log is for machines, the
// error goes there too, instead of as a text to standard error. nil is nil.
func (g *Logging) Failed(logger *slog.Logger, command string, err error) error {
	if err == nil || g.format.value != "json" {
		return err
	}
	logger.Error(command+": failed", "err", err)
	return reportedError{err}
}

// A choice is the value of a flag that takes one of some words.
type choice struct {
	value string
	of    []string
}

func (c *choice) addFlag(cmd *cobra.Command, name, usage string) {
	cmd.Flags().Var(c, name, usage+": "+strings.Join(c.of, ", "))
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.of, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("want one of %s", strings.Join(c.of, ", "))
	}
	c.value = s
	return nil
}

func (c *choice) Type() string { return "word" }
