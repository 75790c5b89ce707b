package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Env lets every flag of a command, also those that it inherits, be set by a
// variable of the environment: --read-ahead by EVENTLOG_READ_AHEAD. A flag on the
// command line wins; a variable that is empty is not set. The help names the
// variables, and so does the error of a malformed one. It is for daemons, whose
// command line is not at hand where they are deployed, and is called once all
// flags are there.
func Env(cmd *cobra.Command) {
	cmd.Flags().VisitAll(describeVariable)
	cmd.PersistentFlags().VisitAll(describeVariable)
	before := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		if err := setFromEnv(c.Flags()); err != nil {
			return err
		}
		if before == nil {
			return nil
		}
		return before(c, args)
	}
}

// variable is the name of the variable of a flag.
func variable(flag string) string {
	return "EVENTLOG_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func describeVariable(f *pflag.Flag) {
	if name := variable(f.Name); !strings.Contains(f.Usage, name) {
		f.Usage += " [" + name + "]"
	}
}

// setFromEnv sets the flags that the command line does not name.
func setFromEnv(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" {
			return
		}
		if wrong := f.Value.Set(value); wrong != nil {
			err = errors.Join(err, fmt.Errorf("the variable %s is %.60q: %w", name, value, wrong))
			return
		}
		f.Changed = true
	})
	return err
}
