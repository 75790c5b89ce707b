package logcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
	"github.com/rollforward/rollforward/outbox"
)

// decision is what the flags of dead redrive and dead discard say.
type decision struct {
	selection
	all    bool
	what   outbox.Decision
	data   string
	format cli.Format
	notify notify.Flag
}

func newRedrive(store *cli.Store) *cobra.Command {
	d := &decision{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "redrive",
		Short: "Have dead letters tried again",
		Long: `Redrive has the dead letters that all given flags select tried again, from
their first attempt on. --data gives the letter that --id names another payload:
JSON, or - for standard input. It prints how many were redriven; those that
somebody else decided on meanwhile are left alone.

Redrive writes the decision down and runs nothing: a sagarunner rolls the steps
forward, as soon as one works on this log.`,
		Example: `  eventlog dead redrive --id 0198c3f0-7b1e-7c4a-9d3e-000000000001
  eventlog dead redrive --id 0198c3f0-7b1e-7c4a-9d3e-000000000001 --data '{"Amount":5}' --why "a typo"
  eventlog dead redrive --type bank.credit --error "connection refused"
  eventlog dead redrive --all --why "the bank is back"`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.run(cmd, store, "redriven", func(ctx context.Context, l *eventlog.Log) (int, error) {
			return outbox.Redrive(ctx, l, d.filter, d.what)
		})
	}
	cmd.Flags().StringVar(&d.data, "data", "", "`json` that is the payload from now on, or -; needs --id")
	d.addFlags(cmd, store)
	noFiles(cmd, "data")
	return cmd
}

func newDiscard(store *cli.Store) *cobra.Command {
	d := &decision{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "discard",
		Short: "Give dead letters up, with a reason",
		Long: `Discard gives the dead letters that all given flags select up for good: they
never run. They stay in the log, with the reason, and a target that they stop
goes on. It prints how many were discarded; those that somebody else decided on
meanwhile are left alone.`,
		Example: `  eventlog dead discard --id 0198c3f0-7b1e-7c4a-9d3e-000000000001 --why "paid in cash"
  eventlog dead discard --type bank.notify --why "nobody reads these"`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if d.what.Why == "" {
			return cli.Usage("--why is required: the reason stays in the log")
		}
		return d.run(cmd, store, "discarded", func(ctx context.Context, l *eventlog.Log) (int, error) {
			return outbox.Discard(ctx, l, d.filter, d.what)
		})
	}
	d.addFlags(cmd, store)
	return cmd
}

func (d *decision) addFlags(cmd *cobra.Command, store *cli.Store) {
	d.selection.addFlags(cmd, store)
	f := cmd.Flags()
	f.BoolVar(&d.all, "all", false, "all dead letters")
	f.StringVar(&d.what.By, "by", "", "`who` decides (default: the user and the host)")
	f.StringVar(&d.what.Why, "why", "", "the `reason`, which is kept")
	d.notify.AddFlag(cmd)
	d.format.AddFlag(cmd)
	noFiles(cmd, "by", "why")
}

// parse completes the decision.
func (d *decision) parse(cmd *cobra.Command) error {
	if err := d.selection.parse(cmd); err != nil {
		return err
	}
	if err := notEmpty(cmd, "by"); err != nil {
		return err
	}
	switch some := d.any(cmd); {
	case d.all && some:
		return cli.Usage("--all excludes a selection")
	case !d.all && !some:
		return cli.Usage("which ones? Use --id, --type, --target or --error, or --all")
	}
	if d.what.By == "" {
		d.what.By = whoami()
	}
	return d.parseData(cmd)
}

func (d *decision) parseData(cmd *cobra.Command) (err error) {
	if f := cmd.Flags().Lookup("data"); f == nil || !f.Changed {
		return nil
	}
	if d.id == "" {
		return cli.Usage("--data is for one dead letter: name it with --id")
	}
	d.what.Data, err = payload(cmd, []string{d.data})
	return err
}

// whoami is the user and the host.
func whoami() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if name == "" {
		name = fmt.Sprint("uid ", os.Getuid())
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

func (d *decision) run(cmd *cobra.Command, store *cli.Store, done string, decide func(context.Context, *eventlog.Log) (int, error)) error {
	if err := d.parse(cmd); err != nil {
		return err
	}
	progress := cli.StartProgress(cmd.ErrOrStderr(), "decisions", "dead letters")
	defer progress.Stop()
	var decided atomic.Int64
	hooks := eventlog.Hooks{Group: func(g eventlog.GroupInfo) { progress.Set(decided.Add(int64(g.Callers)), 0) }} // a transaction each
	return change(cmd, store, cli.Write, &eventlog.Options{Hooks: hooks}, &d.notify, func(cmd *cobra.Command, l *eventlog.Log) error {
		if err := d.look(cmd, l); err != nil {
			return err
		}
		n, err := decide(cmd.Context(), l)
		progress.Stop()
		return errors.Join(d.report(cmd, done, n), err)
	})
}

// look says so when there is nothing to decide about the one letter that is
// named. That it never was one is an error.
func (d *decision) look(cmd *cobra.Command, l *eventlog.Log) error {
	if d.filter.ID.IsZero() {
		return nil
	}
	letter, err := outbox.ReadLetter(cmd.Context(), l, d.filter.ID)
	if err == nil && !letter.Dead {
		last := letter.History[len(letter.History)-1]
		fmt.Fprintf(cmd.ErrOrStderr(), "Step %s is no dead letter any more: %s at %s.\n", letter.ID, last.What, moment(last.Time))
	}
	return err
}

// report prints how many were decided on, also when there was an error then.
func (d *decision) report(cmd *cobra.Command, done string, n int) error {
	err := cli.WriteObject(cmd.OutOrStdout(), d.format, map[string]int{done: n},
		[]cli.Field{{Name: done, Value: cli.Count(int64(n))}})
	if n > 0 && done == "redriven" {
		fmt.Fprintln(cmd.ErrOrStderr(), "It is written down; a sagarunner rolls the steps forward.")
	}
	return err
}
