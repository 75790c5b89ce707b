package logcmd

import (
	"context"
	"errors"
	"iter"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

func newDead(store *cli.Store) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List, show, redrive and discard dead letters",
		Long: `Dead letters are steps that failed for good. They stay until somebody decides on
them: redrive has them tried again, from their first attempt on, and discard
gives them up. Each decision is an event in the log, with who made it, when and
why; "show" tells them.`,
		Example: `  eventlog dead list --error "connection refused"
  eventlog dead show 0198c3f0-7b1e-7c4a-9d3e-000000000001
  eventlog dead redrive --type bank.credit --why "the bank is back"`,
	}
	cmd.AddCommand(newDeadList(store), newDeadShow(store), newRedrive(store), newDiscard(store))
	return cmd
}

// selection is what the flags that select dead letters say.
type selection struct {
	id     string
	filter outbox.Filter
}

func (s *selection) addFlags(cmd *cobra.Command, store *cli.Store) {
	f := cmd.Flags()
	f.StringVar(&s.id, "id", "", "the step with this `id`")
	f.StringVar(&s.filter.Type, "type", "", "steps of this `type`")
	f.StringVar(&s.filter.Target, "target", "", "steps for this `stream`")
	f.StringVar(&s.filter.Err, "error", "", "steps whose error has this `text` in it")
	for name, value := range map[string]func(outbox.Info) string{
		"id":     idForShell,
		"type":   func(i outbox.Info) string { return i.Type },
		"target": func(i outbox.Info) string { return i.Target },
		"error":  nil,
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, completeDead(store, value)) // the flag is there
	}
}

// idForShell is the id of a dead letter and, for those who look, which one it is.
func idForShell(i outbox.Info) string { return i.ID.String() + "\t" + i.Type + " for " + i.Target }

// completeDead offers what the dead letters of the log have.
func completeDead(store *cli.Store, value func(outbox.Info) string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if value == nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(store, func(ctx context.Context, l *eventlog.Log) iter.Seq[string] {
			return func(yield func(string) bool) {
				for i, err := range outbox.Dead(ctx, l) {
					if err != nil || !yield(value(i)) {
						return
					}
				}
			}
		})
	}
}

// flagsThatSelect are those of a selection.
var flagsThatSelect = []string{"id", "type", "target", "error"}

func (s *selection) parse(cmd *cobra.Command) (err error) {
	if err := notEmpty(cmd, flagsThatSelect...); err != nil {
		return err
	}
	if s.filter.ID, err = eventlog.ParseID(s.id); err != nil {
		return cli.Usage("--id: %w", err)
	}
	return nil
}

// any reports whether a flag selects something.
func (s *selection) any(cmd *cobra.Command) bool {
	for _, name := range flagsThatSelect {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// deadLetters is what the flags of dead list say.
type deadLetters struct {
	selection
	limit  int
	format cli.Format
}

func newDeadList(store *cli.Store) *cobra.Command {
	d := &deadLetters{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters that nobody has decided on",
		Long: `List prints the dead letters that nobody has decided on, by shard, the oldest
first: those that all given flags select. AGE is since the last attempt.`,
		Example: `  eventlog dead list
  eventlog dead list --type bank.credit --error "connection refused"
  eventlog dead list -o jsonl | jq -r .error | sort | uniq -c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.limit < 0 {
				return cli.Usage("--limit %d", d.limit)
			}
			if err := d.parse(cmd); err != nil {
				return err
			}
			return look(cmd, store, d.print)
		},
	}
	d.addFlags(cmd, store)
	cmd.Flags().IntVar(&d.limit, "limit", 0, "at most `n` dead letters")
	d.format.AddFlag(cmd)
	noFiles(cmd, "limit")
	return cmd
}

var deadColumns = []cli.Column[step]{
	idColumn, typeColumn, targetColumn, tryColumn,
	{Head: "AGE", Right: true, Cell: func(s step) string { return age(s.Last, s.now) }},
	errorColumn,
}

func (d *deadLetters) print(cmd *cobra.Command, l *eventlog.Log) error {
	list := cli.NewList(cmd.OutOrStdout(), d.format, deadColumns)
	now := l.Now()
	for i, err := range outbox.Dead(cmd.Context(), l) {
		if err != nil {
			return errors.Join(err, list.End())
		}
		if !d.filter.Match(i) {
			continue
		}
		if err := list.Add(newStep(i, now)); err != nil {
			return err
		}
		if list.Len() == d.limit {
			break
		}
	}
	return list.End()
}
