package logcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/cost"
)

// costRow is what one size of blocks costs.
type costRow struct {
	Block        int     `json:"block"`         // events in a block
	AppendWrites int     `json:"append_writes"` // entities
	Append       float64 `json:"append"`        // in the currency of the prices
	ReplayReads  int     `json:"replay_reads"`  // entities
	Replay       float64 `json:"replay"`
	Project      float64 `json:"project"`
	Stored       int     `json:"stored_bytes"`
	Month        float64 `json:"month"` // of storage
}

func newCost() *cobra.Command {
	format := cli.Table
	w := cost.Workload{}
	p := cost.ListPrices
	var blocks []int
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Reckon what events on Google Cloud Datastore cost",
		Long: `Cost reckons what it costs to append events to a log on Google Cloud Datastore,
to replay them, to project them into entities of the same database, and to keep
them for a month, by how many share a block (a group commit). It asks nobody.

The default prices are the list prices of the multi-region nam5 in USD as published
in 2025, without the free quota. Look yours up and give them as flags.`,
		Example: `  eventlog cost
  eventlog cost --events 50000000 --blocks 20,200 --bytes 1200 --keys 2
  eventlog cost --price-reads 0.03 --price-writes 0.09 --price-storage 0.15 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range append([]int{w.Events, w.Batch}, blocks...) {
				if n < 1 {
					return cli.Usage("numbers of events are 1 or more, not %d", n)
				}
			}
			list := cli.NewList(cmd.OutOrStdout(), format, costColumns)
			for _, n := range blocks {
				w.Block = n
				if err := list.Add(reckon(w, p)); err != nil {
					return err
				}
			}
			return list.End()
		},
	}
	f := cmd.Flags()
	f.IntVar(&w.Events, "events", 1_000_000, "`number` of events")
	f.IntSliceVar(&blocks, "blocks", []int{1, 10, 100, 1000}, "events in a block, several `numbers` to compare")
	f.IntVar(&w.Bytes, "bytes", 300, "stored `size` of an event")
	f.IntVar(&w.Keys, "keys", 1, "index keys of an event: its stream, each tag, each id")
	f.IntVar(&w.Rows, "rows", 1, "entities that a projection writes for an event")
	f.IntVar(&w.Batch, "batch", 500, "events of a projection's transaction")
	f.Float64Var(&p.Reads, "price-reads", p.Reads, "`price` of 100,000 entity reads")
	f.Float64Var(&p.Writes, "price-writes", p.Writes, "`price` of 100,000 entity writes")
	f.Float64Var(&p.Deletes, "price-deletes", p.Deletes, "`price` of 100,000 entity deletes")
	f.Float64Var(&p.Storage, "price-storage", p.Storage, "`price` of a GiB for a month")
	format.AddFlag(cmd)
	return cmd
}

func reckon(w cost.Workload, p cost.Prices) costRow {
	return costRow{
		Block: w.Block, AppendWrites: cost.Append(w).Writes, Append: p.Price(cost.Append(w)), ReplayReads: cost.Replay(w).Reads,
		Replay: p.Price(cost.Replay(w)), Project: p.Price(cost.Project(w)), Stored: cost.Stored(w), Month: p.Keep(w),
	}
}

var costColumns = []cli.Column[costRow]{
	{Head: "BLOCK", Right: true, Cell: func(r costRow) string { return cli.Count(int64(r.Block)) }},
	{Head: "WRITES", Right: true, Cell: func(r costRow) string { return cli.Count(int64(r.AppendWrites)) }},
	{Head: "APPEND", Right: true, Cell: func(r costRow) string { return money(r.Append) }},
	{Head: "READS", Right: true, Cell: func(r costRow) string { return cli.Count(int64(r.ReplayReads)) }},
	{Head: "REPLAY", Right: true, Cell: func(r costRow) string { return money(r.Replay) }},
	{Head: "PROJECT", Right: true, Cell: func(r costRow) string { return money(r.Project) }},
	{Head: "STORED", Right: true, Cell: func(r costRow) string { return cli.Bytes(int64(r.Stored)) }},
	{Head: "MONTH", Right: true, Cell: func(r costRow) string { return money(r.Month) }},
}

func money(v float64) string { return fmt.Sprintf("%.4f", v) }
