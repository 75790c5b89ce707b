package logcmd

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// stream is a line of streams as JSON.
type stream struct {
	Stream  string `json:"stream"`
	Version uint64 `json:"version"`
	Shard   int    `json:"shard"`
}

var streamColumns = []cli.Column[stream]{
	{Head: "STREAM", Cell: func(s stream) string { return s.Stream }},
	{Head: "VERSION", Right: true, Cell: func(s stream) string { return strconv.FormatUint(s.Version, 10) }},
	{Head: "SHARD", Right: true, Cell: func(s stream) string { return strconv.Itoa(s.Shard) }},
}

func newStreams(store *cli.Store) *cobra.Command {
	format, limit := cli.Table, 0
	cmd := &cobra.Command{
		Use:   "streams [PREFIX]",
		Short: "List the streams with their versions and shards",
		Long: `Streams lists the streams whose names start with PREFIX, in bytewise order,
each with the version of its last event and its shard. System streams are listed
when PREFIX starts with $.`,
		Example: `  eventlog streams
  eventlog streams account/ -o jsonl
  eventlog streams '$'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return cli.Usage("--limit %d", limit)
			}
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return look(cmd, store, func(cmd *cobra.Command, l *eventlog.Log) error {
				list := cli.NewList(cmd.OutOrStdout(), format, streamColumns)
				for s, err := range l.Streams(cmd.Context(), prefix) {
					if err == nil {
						err = list.Add(stream(s))
					}
					if err != nil {
						return errors.Join(err, list.End())
					}
					if list.Len() == limit {
						break
					}
				}
				return list.End()
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "at most `n` streams")
	format.AddFlag(cmd)
	return cmd
}

var _ = eventlog.StreamInfo(stream{}) // they have the same fields
