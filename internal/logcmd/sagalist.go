package logcmd

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

// instanceList is what the arguments and flags of sagas list say.
type instanceList struct {
	saga   string
	states []string
	limit  int
	format cli.Format
}

// sagaStates are all of them, in the order in which they are counted.
var sagaStates = []saga.State{saga.Awaited, saga.Running, saga.Compensating, saga.Parked, saga.Completed, saga.Compensated, saga.Cancelled}

func stateNames() (list []string) {
	for _, s := range sagaStates {
		list = append(list, string(s))
	}
	return list
}

func newSagaList(store *cli.Store) *cobra.Command {
	i := &instanceList{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "list [SAGA]",
		Short: "List the instances of a saga, or of all sagas",
		Long: `List prints the instances of SAGA, or of all sagas, by saga and id: under way and
ended. Then it says on standard error how many are in which state. STEP is under
way; AGE is since the last thing that happened to the instance; WHY says why it
goes back, or went, or is parked.

States: awaited (signals came for it, but it was not started yet), running,
compensating (it goes back), parked (somebody must decide), completed, compensated
(a step was refused or time was up, and all is undone), cancelled.`,
		Example: `  eventlog sagas list
  eventlog sagas list transfer --state running,compensating --limit 20
  eventlog sagas list --state parked -o jsonl | jq -r .error | sort | uniq -c`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeSagas(store, 1, anyInstance),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := i.parse(cmd, args); err != nil {
				return err
			}
			return look(cmd, store, i.print)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&i.states, "state", nil, "instances in one of these `states`: "+strings.Join(stateNames(), ", "))
	f.IntVar(&i.limit, "limit", 0, "at most `n` instances")
	i.format.AddFlag(cmd)
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateNames(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	noFiles(cmd, "limit")
	return cmd
}

func (i *instanceList) parse(cmd *cobra.Command, args []string) error {
	if i.limit < 0 {
		return cli.Usage("--limit %d", i.limit)
	}
	if cmd.Flags().Changed("state") && len(i.states) == 0 {
		return cli.Usage("--state is empty")
	}
	for _, s := range i.states {
		if !slices.Contains(sagaStates, saga.State(s)) {
			return cli.Usage("--state %q: want some of %s", s, strings.Join(stateNames(), ", "))
		}
	}
	if len(args) == 0 {
		return nil
	}
	i.saga = args[0]
	return checkSaga(i.saga)
}

// print writes the instances as they come: there may be a million.
func (i *instanceList) print(cmd *cobra.Command, l *eventlog.Log) error {
	list := cli.NewList(cmd.OutOrStdout(), i.format, instanceColumns)
	n := make(stateTally)
	more := false
	now := l.Now()
	for info, err := range saga.List(cmd.Context(), l, i.saga) {
		if err != nil {
			return errors.Join(err, list.End())
		}
		if len(i.states) > 0 && !slices.Contains(i.states, string(info.State)) {
			continue
		}
		if more = i.limit > 0 && list.Len() == i.limit; more {
			break
		}
		n[info.State]++
		if err := list.Add(newInstance(info, now)); err != nil {
			return err
		}
	}
	if err := list.End(); err != nil {
		return err
	}
	return n.write(cmd.ErrOrStderr(), more)
}

// A stateTally counts instances by their state.
type stateTally map[saga.State]int64

func (t stateTally) write(w io.Writer, more bool) error {
	all := int64(0)
	var parts []string
	for _, s := range sagaStates {
		if t[s] > 0 {
			all += t[s]
			parts = append(parts, cli.Count(t[s])+" "+string(s))
		}
	}
	what := cli.Count(all) + " instances"
	if all == 1 {
		what = "1 instance"
	}
	if more {
		what = "the first " + what
	}
	if len(parts) > 0 {
		what += ": " + strings.Join(parts, ", ")
	}
	_, err := fmt.Fprintln(w, what)
	return err
}
