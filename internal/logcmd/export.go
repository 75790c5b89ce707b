package logcmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
)

func newExport(store *cli.Store) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the whole log as JSON lines",
		Long: `Export writes the whole log to FILE, or to standard output, as JSON lines from
which "import" makes the same log again: events with their ids, versions, times and
metadata, transactions, idempotency ids, and tables. An event stands on a line as
"read -o jsonl" prints it; lines with a kind are about the rest.

Relaxed appends that have no place yet are folded first.

When FILE holds the beginning of an export that was interrupted, export compares
it with the log and goes on behind it.`,
		Example: `  eventlog export all.jsonl
  eventlog export | gzip > all.jsonl.gz
  eventlog export --log a | eventlog import --log b`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			l, err := openToExport(cmd.Context(), store)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			progress := cli.StartProgress(cmd.ErrOrStderr(), "export", "commits")
			defer progress.Stop()
			options := &eventlog.ExportOptions{Progress: progress.Set}
			if len(args) == 0 || args[0] == "-" {
				return eventlog.Export(cmd.Context(), l, cmd.OutOrStdout(), options)
			}
			return exportFile(cmd, l, args[0], options)
		},
	}
}

// openToExport opens the log for reading; where something is to be folded first, for
// writing.
func openToExport(ctx context.Context, store *cli.Store) (*eventlog.Log, error) {
	o := &eventlog.Options{FoldAfter: -1}
	l, err := store.Open(ctx, cli.Read, o)
	if err != nil {
		return nil, err
	}
	loose, err := l.LooseShards(ctx)
	switch {
	case err != nil:
		return nil, errors.Join(err, l.Close())
	case len(loose) == 0:
		return l, nil
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return store.Open(ctx, cli.Write, o)
}

// exportFile writes or completes an export in a file.
func exportFile(cmd *cobra.Command, l *eventlog.Log, name string, options *eventlog.ExportOptions) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		if err = refuseWhole(f, info.Size()); err == nil {
			options.Begun = io.NewSectionReader(f, 0, info.Size())
		}
	}
	if err == nil {
		err = eventlog.Export(cmd.Context(), l, f, options)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// refuseWhole returns an error when a file ends as a whole export does.
func refuseWhole(f *os.File, size int64) error {
	tail := make([]byte, min(size, 100))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	last := bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte("\n")), '\n')
	if bytes.HasPrefix(tail[last+1:], []byte(`{"kind":"end"`)) && bytes.HasSuffix(tail, []byte("\n")) {
		return errors.New("holds a whole export already; name another file, or remove it")
	}
	return nil
}

func newImport(store *cli.Store) *cobra.Command {
	shards, format := 0, cli.Table
	var to notify.Flag
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Make the log of an export",
		Long: `Import reads what "export" wrote, from FILE or standard input, and makes the
log the same. Where there is no log yet it makes one, with as many shards as the
exported one. What is there already is compared and left alone: an import that was
interrupted is repeated to go on, and one that was complete changes nothing. Other
content at the same place is refused with line, stream and version, and exit
status 3.

--shards makes a log with another number of shards. That is how the number is
changed; not possible while the log has system streams of shards ($steps/3).`,
		Example: `  eventlog import all.jsonl --log copy
  gunzip < all.jsonl.gz | eventlog import --log copy
  eventlog import all.jsonl --log wider --shards 64`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if shards < 0 {
				return cli.Usage("--shards %d", shards)
			}
			in, size := cli.Input(cmd), int64(0)
			name := "standard input"
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				if info, err := f.Stat(); err == nil {
					size = info.Size()
				}
				in, name = f, args[0]
			}
			return importFrom(cmd, store, &to, shards, format, in, name, size)
		},
	}
	cmd.Flags().IntVar(&shards, "shards", 0, "number of shards of a log that is made (default: the exported log's)")
	to.AddFlag(cmd)
	format.AddFlag(cmd)
	return cmd
}

// imported is what import prints.
type imported struct {
	Transactions int64             `json:"transactions"`
	Events       int64             `json:"events"`
	Repeated     int64             `json:"repeated"` // transactions that were there
	Rows         int64             `json:"rows"`
	Position     eventlog.Position `json:"position"`
}

func importFrom(cmd *cobra.Command, store *cli.Store, to *notify.Flag, shards int, format cli.Format, in io.Reader, name string, size int64) (err error) {
	progress := cli.StartProgress(cmd.ErrOrStderr(), "import", "bytes")
	defer progress.Stop()
	r := bufio.NewReaderSize(&countingReader{r: in, progress: progress, size: size}, 64<<10)
	options, err := exportedOptions(r) // before a log is made
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if shards > 0 {
		options.Shards = shards
	}
	l, err := store.Open(cmd.Context(), cli.Write, &eventlog.Options{Shards: options.Shards})
	if errors.Is(err, fs.ErrNotExist) {
		l, err = store.Open(cmd.Context(), cli.Create, options)
	}
	if shards == 0 && errors.Is(err, eventlog.ErrFormat) {
		err = fmt.Errorf("%s is the export of a log with %d shards; --shards imports it into another number: %w", name, options.Shards, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	bells, err := to.Open(cmd, l, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bells.Close()) }()
	bells.Ring()
	result, err := eventlog.Import(cmd.Context(), l, r)
	progress.Stop()
	if err != nil {
		return fmt.Errorf("%s: %w (%s transactions were imported, %s were there; import again to go on)", name, err,
			cli.Count(result.Transactions), cli.Count(result.Repeated))
	}
	at, err := l.Position(cmd.Context())
	if err != nil {
		return err
	}
	v := &imported{result.Transactions, result.Events, result.Repeated, result.Rows, at}
	return cli.WriteObject(cmd.OutOrStdout(), format, v, []cli.Field{
		{Name: "transactions", Value: cli.Count(v.Transactions)},
		{Name: "events", Value: cli.Count(v.Events)},
		{Name: "repeated", Value: cli.Count(v.Repeated)},
		{Name: "rows", Value: cli.Count(v.Rows)},
		{Name: "position", Value: v.Position.String()},
	})
}

// exportedOptions looks at the header and leaves it to be read.
func exportedOptions(r *bufio.Reader) (*eventlog.Options, error) {
	begin, err := r.Peek(r.Size())
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	if len(begin) == 0 && err != io.EOF {
		return nil, err
	}
	return eventlog.ExportedOptions(line)
}

// A countingReader tells how much was read.
type countingReader struct {
	r        io.Reader
	progress *cli.Progress
	n, size  int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.progress.Set(c.n, c.size)
	return n, err
}
