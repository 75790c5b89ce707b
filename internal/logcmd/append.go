package logcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
)

// appending is what the flags of append say.
type appending struct {
	options     eventlog.AppendOptions
	expect      string
	correlation string
	lines       bool
	batch       int
	shards      int
	format      cli.Format
	notify      notify.Flag
}

func newAppend(store *cli.Store) *cobra.Command {
	a := &appending{format: cli.Table}
	cmd := &cobra.Command{
		Use:   "append STREAM TYPE [JSON]",
		Short: "Append an event, or many from JSON lines",
		Long: `Append adds an event of TYPE with the payload JSON to the end of STREAM and
prints it as it now stands in the log. Without JSON, or with -, the payload is
read from standard input. Where there is no log yet, append makes one, with its
directory.

--expect VERSION makes it fail with exit status 3 when the stream is at another
version; "none" expects that the stream does not exist. --id makes it safe to
repeat: the same id in the same stream appends once, and prints the first result
again; with other content it fails with exit status 3.

--relaxed makes it durable without giving it a place: it conflicts with nothing,
and no reader sees it until it is folded into its shard ("eventlog fold"; a
sagarunner does so). "eventlog timeline" shows it before.

With --jsonl standard input holds an event on each line: the payload alone when
STREAM and TYPE are given, else an object with stream, type, data, and if wanted
codec and data_base64, tags, expect (a version), id and meta. A line that "read
-o jsonl" printed will do: its id makes that a second run appends nothing twice.
Up to --batch lines that follow one another share a transaction, which happens as
a whole or not at all. After an error, which names its line, what stood in earlier
transactions stays.`,
		Example: `  eventlog append account/ada bank.opened '{"owner":"Ada"}' --expect none
  echo '{"amount":10}' | eventlog append account/ada bank.deposited --id deposit-17
  eventlog append account/ada bank.deposited --jsonl < amounts.jsonl
  eventlog append --jsonl < events.jsonl
  eventlog read --tag urgent -o jsonl --log a | eventlog append --jsonl --log b`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := len(args); n == 2 || n == 3 && !a.lines || n == 0 && a.lines {
				return nil
			}
			return cli.Usage("want STREAM TYPE [JSON], or --jsonl with or without STREAM TYPE; got %d arguments", len(args))
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd, store, args) },
	}
	f, m := cmd.Flags(), &a.options.Meta
	f.StringVar(&a.expect, "expect", "", "`version` that the stream must have, or none")
	f.BoolVar(&a.options.Relaxed, "relaxed", false, "append without a place; it gets one when it is folded")
	f.StringVar(&a.options.ID, "id", "", "idempotency `id`")
	f.StringArrayVar(&a.options.Tags, "tag", nil, "`tag` on each event; may be repeated")
	f.StringVar(&m.Actor, "actor", "", "`who` did it, in the metadata")
	f.StringVar(&a.correlation, "correlation", "", "`id` of the chain, in the metadata")
	f.StringToStringVar(&m.Extra, "meta", nil, "`key=value` in the metadata; may be repeated")
	f.BoolVar(&a.lines, "jsonl", false, "read many events from standard input")
	f.IntVar(&a.batch, "batch", 100, "with --jsonl: at most `n` lines in a transaction")
	f.IntVar(&a.shards, "shards", 0, "number of shards of a log that is made (default 16)")
	a.notify.AddFlag(cmd)
	a.format.AddFlag(cmd)
	return cmd
}

func (a *appending) run(cmd *cobra.Command, store *cli.Store, args []string) (err error) {
	if err := a.parse(); err != nil {
		return err
	}
	var data []byte
	if !a.lines { // before a log is made
		if data, err = payload(cmd, args[2:]); err != nil {
			return err
		}
	}
	o := &eventlog.Options{Shards: a.shards, FoldAfter: -1}
	return change(cmd, store, cli.Create, o, &a.notify, func(cmd *cobra.Command, l *eventlog.Log) error {
		if a.lines {
			return a.appendLines(cmd, l, args)
		}
		return a.appendOne(cmd, l, args[0], eventlog.Raw{Type: args[1], Data: data})
	})
}

func (a *appending) parse() (err error) {
	o := &a.options
	switch {
	case a.lines && o.ID != "":
		return cli.Usage("--id with --jsonl: each line has its own id")
	case a.options.Relaxed && (a.lines || a.expect != ""):
		return cli.Usage("--relaxed excludes --jsonl and --expect")
	case a.batch < 1:
		return cli.Usage("--batch %d", a.batch)
	case a.shards < 0:
		return cli.Usage("--shards %d", a.shards)
	}
	if o.Expect, err = parseExpect(a.expect); err != nil {
		return err
	}
	if o.Meta.Correlation, err = eventlog.ParseID(a.correlation); err != nil {
		return cli.Usage("--correlation: %w", err)
	}
	return nil
}

func parseExpect(s string) (eventlog.Expect, error) {
	switch s {
	case "":
		return eventlog.Expect{}, nil
	case "none":
		return eventlog.NoStream, nil
	}
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return eventlog.Expect{}, cli.Usage("--expect %q: want a version or none", s)
	}
	return eventlog.Exactly(v), nil
}

// payload is the JSON in the arguments or on standard input.
func payload(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		if err := checkJSON([]byte(args[0])); err != nil {
			return nil, cli.Usage("payload: %w", err)
		}
		return []byte(args[0]), nil
	}
	data, err := io.ReadAll(io.LimitReader(cli.Input(cmd), eventlog.MaxEvent+2))
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	data = bytes.TrimSpace(data)
	if err := checkJSON(data); err != nil && len(data) <= eventlog.MaxEvent {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return data, nil
}

// checkJSON says where data is not JSON.
func checkJSON(data []byte) error {
	if len(data) == 0 {
		return errors.New("empty, want JSON")
	}
	if json.Valid(data) {
		return nil
	}
	var v any
	err := json.Unmarshal(data, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON: %s at byte %d", strings.TrimPrefix(syntax.Error(), "json: "), syntax.Offset)
	}
	return fmt.Errorf("not JSON: %w", err)
}

func (a *appending) appendOne(cmd *cobra.Command, l *eventlog.Log, stream string, e eventlog.Event) error {
	p, err := l.Append(cmd.Context(), stream, &a.options, e)
	if err != nil {
		return err
	}
	shard := l.ShardOf(stream)
	if a.options.Relaxed {
		v := &looseLine{Stream: stream, Shard: shard, Relaxed: true}
		return cli.WriteObject(cmd.OutOrStdout(), a.format, v, []cli.Field{
			{Name: "stream", Value: stream}, {Name: "shard", Value: strconv.Itoa(shard)}, {Name: "place", Value: "none yet; see eventlog timeline and fold"},
		})
	}
	list := cli.NewList(cmd.OutOrStdout(), a.format, recordColumns)
	if err := printCommit(cmd.Context(), l, list, stream, shard, p.Revision(shard)); err != nil {
		return fmt.Errorf("appended at %s, but: %w", p, err)
	}
	return list.End()
}

// looseLine is what append prints of an append that has no place.
type looseLine struct {
	Stream  string `json:"stream"`
	Shard   int    `json:"shard"`
	Relaxed bool   `json:"relaxed"`
}

func printCommit(ctx context.Context, l *eventlog.Log, list *cli.List[eventlog.Record], stream string, shard int, rev driver.Revision) error {
	q := eventlog.Query{Shards: []int{shard}, From: uint64(rev), To: uint64(rev)}
	for r, err := range l.Read(ctx, q) {
		if err == nil && r.Stream == stream {
			err = list.Add(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
