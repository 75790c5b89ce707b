package logcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

// pendingSteps is what the flags of steps say.
type pendingSteps struct {
	typ, target, lane string
	limit             int
	byTarget, byType  bool
	oldest            bool
	format            cli.Format
}

func newSteps(store *cli.Store) *cobra.Command {
	p := &pendingSteps{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "steps",
		Short: "List the steps that are not done, or count them",
		Long: `Steps lists the steps that are neither done nor dead, by shard, and then
says on standard error how many could run (ready), wait for their time or their
next attempt (waiting), are of a type that no runner knew (parked), or stand
behind a step that stops their target (stopped).

--by-target and --by-type count them instead, with the age of the oldest one;
the largest number comes first. --oldest puts the oldest first, of steps as of
targets and types. All flags that select must hold.`,
		Example: `  eventlog steps
  eventlog steps --oldest --limit 20
  eventlog steps --target account/ada -o jsonl
  eventlog steps --lane proj1 --by-type
  eventlog steps --by-target --limit 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.check(cmd); err != nil {
				return err
			}
			return look(cmd, store, p.run)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.typ, "type", "", "steps of this `type`")
	f.StringVar(&p.target, "target", "", "steps for this `stream`")
	f.StringVar(&p.lane, "lane", "", "steps for streams whose names start with this `segment`, up to the first slash: a tenant")
	f.IntVar(&p.limit, "limit", 0, "at most `n` lines")
	f.BoolVar(&p.byTarget, "by-target", false, "count by target")
	f.BoolVar(&p.byType, "by-type", false, "count by type")
	f.BoolVar(&p.oldest, "oldest", false, "the oldest first; without --limit all are held in memory")
	p.format.AddFlag(cmd)
	noFiles(cmd, "type", "target", "lane", "limit")
	cmd.MarkFlagsMutuallyExclusive("by-target", "by-type")
	return cmd
}

// noFiles keeps the shell from offering files as the values of flags.
func noFiles(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		_ = cmd.RegisterFlagCompletionFunc(f, cobra.NoFileCompletions) // the flag is there
	}
}

func (p *pendingSteps) check(cmd *cobra.Command) error {
	switch {
	case p.limit < 0:
		return cli.Usage("--limit %d", p.limit)
	case strings.Contains(p.lane, "/"):
		return cli.Usage("--lane %q: want the first segment of a name, without a slash", p.lane)
	}
	return notEmpty(cmd, "type", "target", "lane")
}

// notEmpty refuses flags that are given without a value: whoever writes
// --type "$TYPE" does not mean all when the variable is not set.
func notEmpty(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return cli.Usage("--%s is empty", name)
		}
	}
	return nil
}

func (p *pendingSteps) selects(s *step) bool {
	return (p.typ == "" || p.typ == s.Type) && (p.target == "" || p.target == s.Target) && (p.lane == "" || p.lane == s.lane())
}

func (p *pendingSteps) run(cmd *cobra.Command, l *eventlog.Log) (err error) {
	n := make(tally)
	more := false
	switch {
	case p.byTarget || p.byType:
		err = p.count(cmd, l, n)
	case p.oldest:
		err = p.printOldest(cmd, l, n)
	default:
		more, err = p.print(cmd, l, n)
	}
	if err != nil {
		return err
	}
	return n.write(cmd.ErrOrStderr(), more)
}

var stepColumns = []cli.Column[step]{idColumn, typeColumn, targetColumn, stateColumn, ageColumn, dueColumn, tryColumn, errorColumn}

// each calls fn for each step that is selected, until it returns false.
func (p *pendingSteps) each(ctx context.Context, l *eventlog.Log, fn func(step) (bool, error)) error {
	now := l.Now()
	for i, err := range outbox.Pending(ctx, l) {
		if err != nil {
			return err
		}
		s := newStep(i, now)
		if !p.selects(&s) {
			continue
		}
		if goOn, err := fn(s); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// print writes the steps as they come; more says that there are others.
func (p *pendingSteps) print(cmd *cobra.Command, l *eventlog.Log, n tally) (more bool, err error) {
	list := cli.NewList(cmd.OutOrStdout(), p.format, stepColumns)
	err = p.each(cmd.Context(), l, func(s step) (bool, error) {
		if more = p.limit > 0 && list.Len() == p.limit; more {
			return false, nil
		}
		n[s.State]++
		return true, list.Add(s)
	})
	return more, errors.Join(err, list.End())
}

// printOldest writes the steps by their time.
func (p *pendingSteps) printOldest(cmd *cobra.Command, l *eventlog.Log, n tally) error {
	order := func(a, b step) int { return a.Time.Compare(b.Time) }
	var kept []step
	err := p.eachWithProgress(cmd, l, func(s step) {
		n[s.State]++
		if p.format == cli.Table {
			s.Data = nil // it is not shown
		}
		if kept = append(kept, s); p.limit > 0 && len(kept) >= 2*p.limit {
			slices.SortStableFunc(kept, order)
			kept = slices.Delete(kept, p.limit, len(kept))
		}
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(kept, order)
	if p.limit > 0 {
		kept = kept[:min(len(kept), p.limit)]
	}
	return writeAll(cmd.OutOrStdout(), p.format, stepColumns, kept)
}

func writeAll[T any](w io.Writer, f cli.Format, columns []cli.Column[T], all []T) error {
	list := cli.NewList(w, f, columns)
	for _, v := range all {
		if err := list.Add(v); err != nil {
			return err
		}
	}
	return list.End()
}

// eachWithProgress calls fn for all steps that are selected.
func (p *pendingSteps) eachWithProgress(cmd *cobra.Command, l *eventlog.Log, fn func(step)) error {
	progress := cli.StartProgress(cmd.ErrOrStderr(), "steps", "steps")
	defer progress.Stop()
	n := int64(0)
	return p.each(cmd.Context(), l, func(s step) (bool, error) {
		fn(s)
		n++
		progress.Set(n, 0)
		return true, nil
	})
}

// A tally counts steps by their state.
type tally map[stepState]int64

func (t tally) write(w io.Writer, more bool) error {
	all := t[ready] + t[waiting] + t[parked] + t[stopped]
	what := cli.Count(all) + " steps"
	if all == 1 {
		what = "1 step"
	}
	if more {
		what = "the first " + what
	}
	_, err := fmt.Fprintf(w, "%s: %s ready, %s waiting, %s parked, %s stopped\n", what,
		cli.Count(t[ready]), cli.Count(t[waiting]), cli.Count(t[parked]), cli.Count(t[stopped]))
	return err
}
