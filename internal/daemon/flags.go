package daemon

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

// Flags are the flags of a daemon.
type Flags struct {
	// Grace is how long the work may take to end: 0 is seven seconds.
	Grace time.Duration

	listen  string
	logging cli.Logging
}

// AddFlags adds --listen, --log-format and --log-level to cmd.
func (f *Flags) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.listen, "listen", "", "`address` for /health/live, /health/ready and /metrics, such as 127.0.0.1:9464; none: it does not listen")
	_ = cmd.RegisterFlagCompletionFunc("listen", cobra.NoFileCompletions) // the flag is there
	f.logging.AddFlags(cmd)
}
