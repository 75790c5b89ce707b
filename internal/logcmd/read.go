package logcmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
)

// reading is what the flags of read say.
type reading struct {
	query                     eventlog.Query
	all                       bool
	after, since, until, corr string
	format                    cli.Format
	notify                    notify.Flag
}

func newRead(store *cli.Store) *cobra.Command {
	r := &reading{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "read [STREAM]",
		Short: "Print events: of a stream, a shard, a tag, a type, a chain, or all",
		Long: `Read prints the events that all given flags select; without any it prints
the whole log. One stream or shard comes in its own order, several shards are
merged in the order of time. With --follow it goes on with what comes later,
until --limit events were printed or a signal ends it. Of what other processes
append to a directory it hears at once, elsewhere through --notify, or when it
looks, every second. Where others may write, several shards wait a second, for
clocks that differ.

--from and --to are versions of a stream, or revisions of one --shard, both
inclusive. --after takes a position as "stats" prints it, like "0:17 3:4": what
stands behind it in each shard. Times are 2006-01-02, 2006-01-02T15:04:05Z, or
how long ago, like 90m.`,
		Example: `  eventlog read account/ada --from 3
  eventlog read account/ada --backward --limit 1
  eventlog read --tag invoice-17 -o jsonl
  eventlog read --type bank.opened --type bank.closed --since 24h
  eventlog read --shard 3 --from 1000 --limit 50
  eventlog read --after "0:17 3:4" --follow -o jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.parse(args); err != nil {
				return err
			}
			return r.run(cmd, store)
		},
	}
	q, f := &r.query, cmd.Flags()
	f.StringVar(&q.Stream, "stream", "", "events of this `stream`")
	f.IntSliceVar(&q.Shards, "shard", nil, "events of this `shard`; may be repeated")
	f.StringVar(&q.Tag, "tag", "", "events with this `tag`")
	f.StringArrayVar(&q.Types, "type", nil, "events of this `type`; may be repeated")
	f.StringVar(&q.Category, "category", "", "events of streams whose names start with `category`/")
	f.StringVar(&r.corr, "correlation", "", "events of the chain with this `id`")
	f.BoolVar(&r.all, "all", false, "events of the whole log, which is the default")
	f.Uint64Var(&q.From, "from", 0, "first `version` of a stream, or revision of a shard")
	f.Uint64Var(&q.To, "to", 0, "last `version` of a stream, or revision of a shard")
	f.StringVar(&r.after, "after", "", "events behind this `position`")
	f.StringVar(&r.since, "since", "", "events at or after this `time`")
	f.StringVar(&r.until, "until", "", "events before this `time`")
	f.BoolVar(&q.Backward, "backward", false, "from the end to the beginning")
	f.IntVar(&q.Limit, "limit", 0, "at most `n` events")
	f.BoolVar(&q.Follow, "follow", false, "wait for more at the end")
	f.BoolVar(&q.System, "system", false, "system streams ($…) too")
	r.notify.AddFlag(cmd)
	r.format.AddFlag(cmd)
	return cmd
}

// parse completes the query from the arguments.
func (r *reading) parse(args []string) (err error) {
	q := &r.query
	if len(args) == 1 {
		if q.Stream != "" && q.Stream != args[0] {
			return cli.Usage("two streams: %s and --stream %s", args[0], q.Stream)
		}
		q.Stream = args[0]
	}
	selects := q.Stream != "" || len(q.Shards) > 0 || q.Tag != "" || len(q.Types) > 0 || q.Category != "" || r.corr != ""
	switch {
	case r.all && selects:
		return cli.Usage("--all excludes a selection")
	case (q.From != 0 || q.To != 0) && q.Stream == "" && len(q.Shards) != 1:
		return cli.Usage("--from and --to need a stream or one --shard")
	case q.Backward && q.Follow:
		return cli.Usage("--backward and --follow exclude each other")
	case q.Limit < 0:
		return cli.Usage("--limit %d", q.Limit)
	case q.From > math.MaxInt64 || q.To > math.MaxInt64:
		return cli.Usage("--from and --to are at most %d", math.MaxInt64)
	}
	if q.Correlation, err = eventlog.ParseID(r.corr); err != nil {
		return cli.Usage("--correlation: %w", err)
	}
	if q.After, err = eventlog.ParsePosition(r.after); err != nil {
		return cli.Usage("--after: %w", err)
	}
	return r.parseTimes(time.Now())
}

func (r *reading) parseTimes(now time.Time) (err error) {
	if r.since != "" {
		if r.query.Since, err = parseTime(r.since, now); err != nil {
			return err
		}
	}
	if r.until != "" {
		r.query.Until, err = parseTime(r.until, now)
	}
	return err
}

func (r *reading) run(cmd *cobra.Command, store *cli.Store) (err error) {
	ctx := cmd.Context()
	l, err := store.Open(ctx, cli.Read, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for _, s := range r.query.Shards {
		if s < 0 || s >= l.Shards() {
			return cli.Usage("--shard %d: the log has shards 0 to %d", s, l.Shards()-1)
		}
	}
	list := cli.NewList(cmd.OutOrStdout(), r.format, recordColumns)
	list.Live = r.query.Follow
	if r.query.Follow {
		bells, err := r.notify.Open(cmd, l, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, bells.Close()) }()
		bells.Listen()
	}
	err = r.print(ctx, l, list)
	if r.query.Follow && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // a signal is how following ends
	}
	return errors.Join(err, list.End())
}

func (r *reading) print(ctx context.Context, l *eventlog.Log, list *cli.List[eventlog.Record]) error {
	for rec, err := range l.Read(ctx, r.query) {
		if err == nil {
			err = list.Add(rec)
		}
		if err != nil {
			return err
		}
	}
	if r.query.Stream != "" && list.Len() == 0 {
		return r.explain(ctx, l)
	}
	return nil
}

// explain says why a stream showed nothing, if it is not there at all.
func (r *reading) explain(ctx context.Context, l *eventlog.Log) error {
	for _, err := range l.Read(ctx, eventlog.Query{Stream: r.query.Stream, Limit: 1}) {
		return err
	}
	return fmt.Errorf("no stream %q in the log", r.query.Stream)
}
