package sagarunner

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

// A tuning is what the flags say of an outbox.Runner. What no flag sets is left
// to the Runner.
type tuning struct {
	flags                     *pflag.FlagSet
	sweep, lease, grace       time.Duration
	batch, targets, readAhead int
	atOnce                    int
}

func (t *tuning) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&t.sweep, "sweep", time.Second, "how often to look for steps that nothing told of: the worst latency")
	f.DurationVar(&t.lease, "lease", 0, "time within which the work of a runner that crashed is taken over (default six sweeps, at least 6s)")
	f.DurationVar(&t.grace, "grace", 5*time.Second, "how long the batches in hand may take after a signal")
	f.IntVar(&t.batch, "batch", 128, "at most `n` steps in a commit")
	f.IntVar(&t.targets, "targets", 16, "at most `n` batches at a time, and as many effects")
	f.IntVar(&t.readAhead, "read-ahead", 4096, "at most `n` steps of a shard in hand")
	f.IntVar(&t.atOnce, "at-once", 0, "at most `n` steps of sagas in the commit of the step that they follow from; 0: none (default: 1024 where no other process can write to the log, else none)")
	for _, name := range tuningFlags {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions) // the flag is there
	}
	t.flags = f
}

var tuningFlags = []string{"sweep", "lease", "grace", "batch", "targets", "read-ahead", "at-once"}

// apply sets the fields of r that flags set. The error is misuse.
func (t *tuning) apply(r *outbox.Runner) error {
	for name, d := range map[string]struct{ from, to *time.Duration }{
		"sweep": {&t.sweep, &r.Sweep}, "lease": {&t.lease, &r.Lease}, "grace": {&t.grace, &r.Grace},
	} {
		if err := set(t.flags, name, d.from, d.to); err != nil {
			return err
		}
	}
	for name, n := range map[string]struct{ from, to *int }{
		"batch": {&t.batch, &r.Batch}, "targets": {&t.targets, &r.Targets}, "read-ahead": {&t.readAhead, &r.ReadAhead},
	} {
		if err := set(t.flags, name, n.from, n.to); err != nil {
			return err
		}
	}
	if t.flags.Changed("at-once") {
		if r.AtOnce = t.atOnce; r.AtOnce == 0 {
			r.AtOnce = -1
		}
	}
	if err := (&outbox.Runner{Log: r.Log, Sweep: r.Sweep, Lease: r.Lease, Grace: r.Grace,
		Batch: r.Batch, Targets: r.Targets, ReadAhead: r.ReadAhead, AtOnce: r.AtOnce}).Check(); err != nil {
		return cli.Usage("%w", err)
	}
	return nil
}

// set takes over a value that was given. 0 is none: to the Runner it would be the
// default.
func set[T int | time.Duration](flags *pflag.FlagSet, name string, from, to *T) error {
	if f := flags.Lookup(name); !f.Changed {
		return nil
	} else if *from <= 0 {
		return cli.Usage("--%s is %s: want more than 0", name, f.Value)
	}
	*to = *from
	return nil
}
