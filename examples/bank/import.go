package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

func newImport(s *site) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Import books in CSV",
		Long: `Import records the transactions of a CSV file with the columns

  transaction,date,description,account,amount_cents,currency

Consecutive rows of one transaction must sum to zero in every currency and are
recorded at one moment, all or none. Accounts are opened on first use. The log
is made where there is none. FILE - is standard input.

The first row or transaction that is wrong ends the import with its file and
line: what comes before it is recorded, of it and what follows nothing is.
When the file is mended, the same command goes on there. A transaction that is
recorded already is passed over; if its content is another, the exit status is
3.`,
		Example: "  bank import --log data household-ledger.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, size, err := openInput(cmd, args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return s.with(cmd, cli.Create, func(ctx context.Context, log *eventlog.Log) error {
				return importFile(ctx, cmd, log, args[0], f, size)
			})
		},
	}
}

// openInput opens a file before the log is made for it. size 0: not known.
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(cli.Input(cmd)), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", name)
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return f, 0, nil
	}
	return f, info.Size(), nil
}

func importFile(ctx context.Context, cmd *cobra.Command, log *eventlog.Log, name string, f io.Reader, size int64) error {
	p := cli.StartProgress(cmd.ErrOrStderr(), "import", "bytes")
	in := &counted{Reader: f}
	done, err := bank.Import(ctx, log, name, in, func(bank.Imported) { p.Set(in.n.Load(), size) })
	p.Stop()
	fmt.Fprintf(cmd.OutOrStdout(), "%s transactions with %s postings recorded, %s were there already\n",
		cli.Count(int64(done.Recorded)), cli.Count(int64(done.Postings)), cli.Count(int64(done.Present)))
	return err
}

// counted counts the bytes that were read.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
