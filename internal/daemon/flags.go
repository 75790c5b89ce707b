package daemon

import (
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

// Flags are the flags of a daemon. Where one is not given, its variable counts.
type Flags struct{ listen, format string }

const (
	listenVariable = "EVENTLOG_LISTEN"
	formatVariable = "EVENTLOG_LOG_FORMAT"
)

var formats = []string{"text", "json"}

// AddFlags adds --listen and --log-format to cmd.
func (f *Flags) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.listen, "listen", "",
		"`address` for /health/live, /health/ready and /metrics, such as 127.0.0.1:9464 (default: the variable "+listenVariable+", else none)")
	cmd.Flags().StringVar(&f.format, "log-format", "",
		"`format` of the log on standard error: "+strings.Join(formats, ", ")+" (default: the variable "+formatVariable+", else text)")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// given returns a flag's value, or that of its variable. An empty flag is a value.
func given(cmd *cobra.Command, flag, value, variable string) string {
	if cmd.Flags().Changed(flag) {
		return value
	}
	return os.Getenv(variable)
}

// logger returns a logger that writes to the command's error stream.
func (f *Flags) logger(cmd *cobra.Command) (*slog.Logger, error) {
	switch format := given(cmd, "log-format", f.format, formatVariable); format {
	case "", "text":
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil)), nil
	default:
		return nil, cli.Usage("no log format %q (--log-format, %s): want one of %s", format, formatVariable, strings.Join(formats, ", "))
	}
}
