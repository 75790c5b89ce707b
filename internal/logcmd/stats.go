package logcmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/remotelog"
	"github.com/rollforward/rollforward/internal/cli"
)

// logStats is what stats prints as JSON.
type logStats struct {
	Log           string            `json:"log"`
	Streams       int64             `json:"streams"`
	Events        int64             `json:"events"`
	SystemStreams int64             `json:"system_streams"`
	SystemEvents  int64             `json:"system_events"`
	Commits       int64             `json:"commits"`
	First         *time.Time        `json:"first,omitempty"` // time of the first event
	Last          *time.Time        `json:"last,omitempty"`
	Loose         int64             `json:"loose"`                  // relaxed appends that wait to be folded
	LooseOldest   *time.Time        `json:"loose_oldest,omitempty"` // time of the first of them
	Position      eventlog.Position `json:"position"`
	Shards        []driver.Revision `json:"shards"` // revision of each
	*logDisk                        // nil: the log is not in a directory
}

// logDisk is what a log in a directory uses.
type logDisk struct {
	DiskBytes  uint64 `json:"disk_bytes"`
	FreeBytes  uint64 `json:"free_bytes"`
	TableBytes uint64 `json:"table_bytes"`
	Tables     int64  `json:"tables"`
}

func newStats(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count streams, events and bytes, and print the position",
		Long: `Stats counts streams and events (those of system streams apart), and prints
the times of the first and last event, the revision of each shard, the position of
the log's end (for "read --after"), the relaxed appends that wait to be folded, and
the bytes on disk. It reads the whole list
of streams.`,
		Example: `  eventlog stats
  eventlog stats -o json | jq .events`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d, err := store.OpenDriver(cmd.Context(), cli.Read)
			if err != nil {
				return err
			}
			l, err := eventlog.Open(cmd.Context(), d, nil)
			if err != nil {
				return errors.Join(err, d.Close())
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			s := new(logStats)
			if s.Log, err = store.Name(); err != nil {
				return err
			}
			progress := cli.StartProgress(cmd.ErrOrStderr(), "stats", "streams")
			err = s.collect(cmd.Context(), l, d, progress)
			progress.Stop()
			if err != nil {
				return err
			}
			return cli.WriteObject(cmd.OutOrStdout(), format, s, s.fields())
		},
	}
	format.AddFlag(cmd)
	return cmd
}

func (s *logStats) collect(ctx context.Context, l *eventlog.Log, d driver.Log, progress *cli.Progress) (err error) {
	if s.Position, err = l.Position(ctx); err != nil {
		return err
	}
	for shard := range l.Shards() {
		s.Shards = append(s.Shards, s.Position.Revision(shard))
		s.Commits += int64(s.Position.Revision(shard))
	}
	if s.Streams, s.Events, err = countStreams(ctx, l, "", progress); err != nil {
		return err
	}
	if s.SystemStreams, s.SystemEvents, err = countStreams(ctx, l, "$", progress); err != nil {
		return err
	}
	for _, backward := range []bool{false, true} {
		for r, err := range l.Read(ctx, eventlog.Query{System: true, Backward: backward, Limit: 1}) {
			if err != nil {
				return err
			}
			if s.Last = &r.Time; !backward {
				s.First = &r.Time
			}
		}
	}
	if err := s.countLoose(ctx, l); err != nil {
		return err
	}
	dir, ok := d.(*remotelog.Log)
	if !ok {
		return nil
	}
	s.Log = dir.Dir()
	disk, err := dir.Stats(ctx)
	s.logDisk = &logDisk{disk.DiskBytes, disk.FreeBytes, disk.TableBytes, disk.Tables}
	return err
}

func (s *logStats) countLoose(ctx context.Context, l *eventlog.Log) error {
	list, err := l.Unfolded(ctx)
	for _, u := range list {
		s.Loose += int64(u.Appends)
		if s.LooseOldest == nil || u.Oldest.Before(*s.LooseOldest) {
			s.LooseOldest = &u.Oldest
		}
	}
	return err
}

// countStreams counts streams under a prefix, and their events.
func countStreams(ctx context.Context, l *eventlog.Log, prefix string, progress *cli.Progress) (streams, events int64, err error) {
	for s, err := range l.Streams(ctx, prefix) {
		if err != nil {
			return 0, 0, err
		}
		streams++
		events += int64(s.Version)
		progress.Set(streams, 0)
	}
	return streams, events, nil
}

func (s *logStats) fields() []cli.Field {
	fields := []cli.Field{
		{Name: "log", Value: s.Log},
		{Name: "streams", Value: cli.Count(s.Streams)},
		{Name: "events", Value: cli.Count(s.Events)},
		{Name: "system streams", Value: cli.Count(s.SystemStreams)},
		{Name: "system events", Value: cli.Count(s.SystemEvents)},
		{Name: "commits", Value: cli.Count(s.Commits)},
	}
	if s.First != nil {
		fields = append(fields, cli.Field{Name: "first event", Value: s.First.Format(time.RFC3339Nano)},
			cli.Field{Name: "last event", Value: s.Last.Format(time.RFC3339Nano)})
	}
	if s.LooseOldest != nil {
		fields = append(fields, cli.Field{Name: "to be folded", Value: fmt.Sprintf("%s, since %s", cli.Count(s.Loose), s.LooseOldest.Format(time.RFC3339Nano))})
	}
	if s.logDisk != nil {
		fields = append(fields, cli.Field{Name: "on disk", Value: fmt.Sprintf("%s, %s free", cli.Bytes(int64(s.DiskBytes)), cli.Bytes(int64(s.FreeBytes)))})
	}
	fields = append(fields,
		cli.Field{Name: "shards", Value: strconv.Itoa(len(s.Shards))},
		cli.Field{Name: "position", Value: s.Position.String()})
	return fields
}
