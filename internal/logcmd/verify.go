package logcmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// verdict is what verify prints as JSON.
type verdict struct {
	OK       bool              `json:"ok"`
	Commits  int64             `json:"commits"`
	Position eventlog.Position `json:"position"`
	Damage   []string          `json:"damage,omitempty"` // the first of each shard
}

func newVerify(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the integrity of the whole log",
		Long: `Verify reads every commit and every index entry and holds them against what a
log promises: revisions and versions without gaps, rising times, checksums, every
index key with its commit and every commit with its keys. It names the first
damage of each shard. Exit status 0: all is well, 1: the log is damaged.`,
		Example: `  eventlog verify && eventlog backup ../backup`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look(cmd, store, func(cmd *cobra.Command, l *eventlog.Log) error { return verify(cmd, l, format) })
		},
	}
	format.AddFlag(cmd)
	return cmd
}

func verify(cmd *cobra.Command, l *eventlog.Log, format cli.Format) (err error) {
	v := &verdict{}
	if v.Position, err = l.Position(cmd.Context()); err != nil {
		return err
	}
	for s := range l.Shards() {
		v.Commits += int64(v.Position.Revision(s))
	}
	progress := cli.StartProgress(cmd.ErrOrStderr(), "verify", "commits and index entries")
	damage := eventlog.CheckWith(cmd.Context(), l, &eventlog.CheckOptions{Progress: progress.Set})
	progress.Stop()
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if v.OK = damage == nil; !v.OK {
		v.Damage = strings.Split(damage.Error(), "\n")
	}
	return errors.Join(cli.WriteObject(cmd.OutOrStdout(), format, v, v.fields()), damage)
}

func (v *verdict) fields() []cli.Field {
	result := "ok"
	if !v.OK {
		result = fmt.Sprintf("damaged in %d shards", len(v.Damage))
	}
	return []cli.Field{
		{Name: "verified", Value: result},
		{Name: "commits", Value: cli.Count(v.Commits)},
		{Name: "position", Value: v.Position.String()},
	}
}
