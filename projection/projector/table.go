package projector

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

// A line is what a table shows of a report: all of it, or one shard.
type line struct {
	report
	shard *shardReport
}

// write writes the reports.
func write(cmd *cobra.Command, format cli.Format, shards bool, list []report) error {
	if format != cli.Table {
		out := cli.NewList[report](cmd.OutOrStdout(), format, nil)
		for _, r := range list {
			if err := out.Add(r); err != nil {
				return err
			}
		}
		return out.End()
	}
	out := cli.NewList(cmd.OutOrStdout(), format, columns(shards))
	for _, r := range list {
		for _, l := range lines(r, shards) {
			if err := out.Add(l); err != nil {
				return err
			}
		}
	}
	return out.End()
}

func lines(r report, shards bool) []line {
	if !shards {
		return []line{{report: r}}
	}
	var out []line
	for i := range r.Shards {
		sh := &r.Shards[i]
		r.Handled, r.Skipped, r.Behind = sh.Handled, sh.Skipped, sh.Behind
		out = append(out, line{r, sh})
	}
	return out
}

func columns(shards bool) []cli.Column[line] {
	number := func(head string, n func(line) uint64) cli.Column[line] {
		return cli.Column[line]{Head: head, Right: true, Cell: func(l line) string { return cli.Count(int64(n(l))) }}
	}
	behindBy := func(head string, show func(*behind) string) cli.Column[line] {
		return cli.Column[line]{Head: head, Right: true, Cell: func(l line) string {
			if l.Behind == nil {
				return "?"
			}
			return show(l.Behind)
		}}
	}
	out := []cli.Column[line]{
		{Head: "PROJECTION", Cell: func(l line) string { return l.Projection }},
		{Head: "VERSION", Right: true, Cell: func(l line) string { return version(l.report) }},
	}
	if shards {
		out = append(out,
			cli.Column[line]{Head: "SHARD", Right: true, Cell: func(l line) string { return strconv.Itoa(l.shard.Shard) }},
			number("REVISION", func(l line) uint64 { return l.shard.Revision }))
	}
	return append(out,
		number("HANDLED", func(l line) uint64 { return l.Handled }),
		number("SKIPPED", func(l line) uint64 { return l.Skipped }),
		behindBy("BEHIND", func(b *behind) string { return cli.Count(int64(b.Events)) }),
		behindBy("LAG", func(b *behind) string { return seconds(b.Seconds) }),
		cli.Column[line]{Head: "STATE", Cell: func(l line) string { return state(l.report) }},
	)
}

// version is that of the program, with that of the read model where it is
// another one.
func version(r report) string {
	switch r.Held {
	case r.Version:
		return strconv.Itoa(r.Version)
	case 0:
		return fmt.Sprintf("%d (not built)", r.Version)
	}
	return fmt.Sprintf("%d (has %d)", r.Version, r.Held)
}

// state is why a projection stopped.
func state(r report) string {
	if r.Stopped == nil {
		return "ok"
	}
	return r.Stopped.Reason
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
