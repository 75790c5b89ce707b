package logcmd

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
)

// look opens the log for fn, which reads it.
func look(cmd *cobra.Command, store *cli.Store, fn func(*cobra.Command, *eventlog.Log) error) (err error) {
	l, err := store.Open(cmd.Context(), cli.Read, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return fn(cmd, l)
}

// change opens the log for fn, which writes to it. What it commits wakes the processes
// that n reaches.
func change(cmd *cobra.Command, store *cli.Store, a cli.Access, o *eventlog.Options, n *notify.Flag, fn func(*cobra.Command, *eventlog.Log) error) (err error) {
	l, err := store.Open(cmd.Context(), a, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	bells, err := n.Open(cmd, l, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bells.Close()) }()
	bells.Ring()
	return fn(cmd, l)
}

// A shell's user waits for what is offered.
const (
	completionPatience = 2 * time.Second
	maxCompletions     = 100
)

// offer offers a shell's user the first values that the log has, each once.
func offer(store *cli.Store, values func(context.Context, *eventlog.Log) iter.Seq[string]) (out []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
	defer cancel()
	l, err := store.Open(ctx, cli.Read, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer l.Close()
	seen := make(map[string]bool)
	for v := range values(ctx, l) {
		if seen[v] {
			continue
		}
		seen[v] = true
		if out = append(out, v); len(out) == maxCompletions {
			break
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
