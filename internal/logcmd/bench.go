package logcmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/bench"
	"github.com/rollforward/rollforward/internal/cli"
)

func newBench() *cobra.Command {
	c, format, profile := bench.Config{}, cli.Table, ""
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the log on a disk, beside what the disk can do",
		Long: `Bench appends to a log in a scratch directory, which it removes, and in turn
with it writes the same payload bytes, from as many waiting appenders, to a bare
file with group commit and fdatasync: the least that durable appends can cost on
that disk. It prints appends and events a second, latencies, and the ratio of the
two, the median of some rounds; and the ratio to a file that is filled with zeros
ahead of small writes, which is faster on some file systems. Each append goes to one of many streams, on the
condition that the stream has the version that its appender knows. Payloads are
JSON objects that compress like business events, to about a half.

--replay reads everything back and compares with the driver alone. --hot puts all
appenders on one stream: each reads the stream's state and appends to it; the same
on all streams is measured in turn. --fill stores events before anything else and
compares the first 100,000 of them with the last. --load loads streams of ten
events and compares with ten point reads of the engine.

Memory that passes for a disk (tmpfs) is refused. On a machine with other work
the rates mean little; the ratios mean more.`,
		Example: `  eventlog bench --dir /data --appenders 64
  eventlog bench --dir /data --appenders 1 --batch 500 --duration 20s
  eventlog bench --dir /data --hot
  eventlog bench --dir /data --fill 1000000 --load --replay -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Check(); err != nil {
				return cli.Usage("%w", err)
			}
			stop, err := profileCPU(profile)
			if err != nil {
				return err
			}
			tell := teller{w: cmd.ErrOrStderr()}
			c.Progress = tell.progress
			r, err := bench.Run(cmd.Context(), c)
			tell.stop()
			if err = errors.Join(err, stop()); err != nil {
				return err
			}
			return cli.WriteObject(cmd.OutOrStdout(), format, r, benchFields(r, c))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Dir, "dir", os.TempDir(), "`directory` for the scratch directory, on the disk to measure")
	f.IntVar(&c.Appenders, "appenders", 64, "callers that append at the same time")
	f.IntVar(&c.Size, "size", 256, "`bytes` of an event's payload")
	f.IntVar(&c.Batch, "batch", 1, "events in an append")
	f.DurationVar(&c.Duration, "duration", 10*time.Second, "`time` that each side is measured, all rounds together")
	f.IntVar(&c.Rounds, "rounds", 5, "rounds in which the sides take turns")
	f.IntVar(&c.Streams, "streams", 10_000, "streams that are appended to")
	f.IntVar(&c.Shards, "shards", 0, "shards of the log (default 16)")
	f.BoolVar(&c.Hot, "hot", false, "read-modify-write one stream from all appenders")
	f.BoolVar(&c.Replay, "replay", true, "read everything back")
	f.BoolVar(&c.Load, "load", false, "load streams of ten events")
	f.IntVar(&c.Fill, "fill", 0, "`events` to store before measuring")
	f.StringVar(&profile, "cpuprofile", "", "write a CPU profile to `file`")
	_ = cmd.MarkFlagDirname("dir")
	format.AddFlag(cmd)
	return cmd
}

// profileCPU starts a profile, if a file is named for it.
func profileCPU(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// A teller shows the progress of one step after another.
type teller struct {
	w    io.Writer
	mu   sync.Mutex
	what string
	*cli.Progress
}

func (t *teller) progress(what string, done, total int64, unit string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if what != t.what {
		t.stop()
		t.what, t.Progress = what, cli.StartProgress(t.w, "bench: "+what, unit)
	}
	t.Set(done, total)
}

func (t *teller) stop() {
	if t.Progress != nil {
		t.Stop()
	}
}

func benchFields(r *bench.Result, c bench.Config) []cli.Field {
	count := func(v float64) string { return cli.Count(int64(v)) }
	work := fmt.Sprintf("%d appenders, %d events of %d bytes an append, %d streams, %d shards", r.Appenders, r.Batch, r.Size, r.Streams, r.Shards)
	if r.Hot {
		work += ", read-modify-write of one stream"
	}
	latency := func(p50, p99, p999, cpu float64) string {
		return fmt.Sprintf("p50 %.0f µs, p99 %.0f µs, p99.9 %.0f µs; CPU %.1f µs an append", p50, p99, p999, cpu)
	}
	fields := []cli.Field{
		{Name: "file system", Value: r.FileSystem},
		{Name: "work", Value: work},
		{Name: "appends/s", Value: count(r.AppendsPerS)},
		{Name: "events/s", Value: count(r.EventsPerS)},
		{Name: "latency", Value: latency(r.P50, r.P99, r.P999, r.CPU)},
		{Name: "bare file appends/s", Value: count(r.LimitAppendsPerS)},
		{Name: "bare file events/s", Value: count(r.LimitEventsPerS)},
		{Name: "bare file latency", Value: latency(r.LimitP50, r.LimitP99, r.LimitP999, r.LimitCPU)},
		{Name: "ratio to bare file", Value: fmt.Sprintf("%.2f (median of %d rounds)", r.Ratio, len(r.Rounds))},
		{Name: "ratio to prepared file", Value: fmt.Sprintf("%.2f (%s appends/s)", r.PreparedRatio, count(r.PreparedAppendsPerS))},
	}
	if r.Hot {
		fields = append(fields, cli.Field{Name: "on all streams", Value: fmt.Sprintf("%s appends/s; one stream / all: %.2f; %s runs were lost",
			count(r.SpreadAppendsPerS), r.HotRatio, cli.Count(r.Reruns))})
	}
	if c.Fill > 0 {
		fields = append(fields, cli.Field{Name: "fill", Value: fmt.Sprintf("%s events, first part at %s/s, last at %s/s: %.2f (%.2f beside the bare file)",
			cli.Count(int64(r.FillEvents)), count(r.FillPerS[0]), count(r.FillPerS[len(r.FillPerS)-1]), r.FillRatio, r.FillSteady)})
	}
	if c.Load {
		fields = append(fields, cli.Field{Name: "load of 10 events", Value: fmt.Sprintf("p50 %.1f µs; ten point reads %.1f µs: %.2fx", r.LoadP50, r.GetsP50, r.LoadRatio)})
	}
	if c.Replay {
		fields = append(fields, cli.Field{Name: "replay", Value: fmt.Sprintf("%s events at %s/s; driver alone %s/s: %.2f",
			cli.Count(r.ReplayEvents), count(r.ReplayEventsPerS), count(r.ReplayDriverEventsPerS), r.ReplayRatio)})
	}
	return append(fields,
		cli.Field{Name: "on disk", Value: cli.Bytes(int64(r.DiskBytes))},
		cli.Field{Name: "resident memory", Value: cli.Bytes(r.MaxRSSBytes) + " at most"})
}
