package logcmd

import (
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/saga"
)

func newSagas(store *cli.Store) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sagas",
		Short: "List, show, trace, cancel and retry the instances of sagas",
		Long: `Instances of sagas go through their steps, one after another, and back when one
is refused; one that can neither go on nor back is parked, until somebody decides.
No definition is needed to look at them, nor to ask for something: cancel and retry
are steps that a sagarunner which knows the saga carries out.`,
		Example: `  eventlog sagas list --state parked
  eventlog sagas show transfer t1
  eventlog sagas trace transfer t1
  eventlog sagas retry transfer t1 --why "the account is open again"`,
	}
	cmd.AddCommand(newSagaList(store), newSagaShow(store), newSagaTrace(store), newSagaCancel(store), newSagaRetry(store))
	return cmd
}

// checkSaga refuses what is no name of a saga.
func checkSaga(name string) error {
	switch {
	case name == "":
		return cli.Usage("SAGA is empty")
	case strings.Contains(name, "/"):
		return cli.Usage("%q is no name of a saga: it has a slash", name)
	}
	return nil
}

// checkInstance refuses what names no instance.
func checkInstance(args []string) (name, id string, err error) {
	if err := checkSaga(args[0]); err != nil {
		return "", "", err
	}
	if args[1] == "" {
		return "", "", cli.Usage("ID is empty")
	}
	return args[0], args[1], nil
}

// completeSagas offers names of sagas and then ids of instances, those that fit.
func completeSagas(store *cli.Store, most int, fits func(saga.Info) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(store, func(ctx context.Context, l *eventlog.Log) iter.Seq[string] {
			if len(args) == 1 {
				return instanceIDs(ctx, l, args[0], fits)
			}
			return sagaNames(ctx, l)
		})
	}
}

// sagaNames yields the names of the sagas that have instances. It skips their
// instances, which may be many.
func sagaNames(ctx context.Context, l *eventlog.Log) iter.Seq[string] {
	const behindSlash = "0"
	prefix := strings.TrimSuffix(saga.Cancel{}.Target(), "/") // of the stream of any instance
	first := func(after string) string {
		for s, err := range l.StreamsAfter(ctx, prefix, after) {
			if err != nil {
				break
			}
			return s.Stream
		}
		return ""
	}
	return func(yield func(string) bool) {
		for stream := first(""); stream != ""; {
			name, _, _ := strings.Cut(strings.TrimPrefix(stream, prefix), "/")
			if !yield(name) {
				return
			}
			stream = first(prefix + name + behindSlash)
		}
	}
}

// instanceIDs yields the ids of instances and, for those who look, where they stand.
func instanceIDs(ctx context.Context, l *eventlog.Log, name string, fits func(saga.Info) bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		if checkSaga(name) != nil {
			return
		}
		for i, err := range saga.List(ctx, l, name) {
			if err != nil || fits(i) && !yield(i.ID+"\t"+strings.TrimSpace(string(i.State)+" "+i.Step)) {
				return
			}
		}
	}
}

func anyInstance(saga.Info) bool { return true }
