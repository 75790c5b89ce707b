package logcmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// A line is an event to append. Place and time of a record that was read from a
// log are not looked at.
type line struct {
	Stream string          `json:"stream"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data"`
	Base64 []byte          `json:"data_base64"`
	Codec  string          `json:"codec"`
	Tags   []string        `json:"tags"`
	Expect *uint64         `json:"expect"`
	ID     string          `json:"id"`
	Meta   lineMeta        `json:"meta"`

	Version  uint64          `json:"version"`
	Shard    int             `json:"shard"`
	Revision uint64          `json:"revision"`
	Time     time.Time       `json:"time"`
	Relaxed  json.RawMessage `json:"relaxed"`

	number int
}

type lineMeta struct {
	Correlation eventlog.ID       `json:"correlation"`
	Causation   eventlog.ID       `json:"causation"`
	Actor       string            `json:"actor"`
	Traceparent string            `json:"traceparent"`
	Extra       map[string]string `json:"extra"`
}

// A report says what append --jsonl did.
type report struct {
	Lines        int               `json:"lines"`
	Events       int               `json:"events"`
	Repeated     int               `json:"repeated"` // their ids were there
	Transactions int               `json:"transactions"`
	Position     eventlog.Position `json:"position"`
}

func (r *report) write(w io.Writer, f cli.Format) error {
	return cli.WriteObject(w, f, r, []cli.Field{
		{Name: "events", Value: cli.Count(int64(r.Events))},
		{Name: "repeated", Value: cli.Count(int64(r.Repeated))},
		{Name: "transactions", Value: cli.Count(int64(r.Transactions))},
		{Name: "position", Value: r.Position.String()},
	})
}

const (
	maxLine    = 8 << 20
	batchBytes = 256 << 10 // of lines; far below what a transaction may hold
)

// appendLines appends what stands on standard input, batch by batch.
func (a *appending) appendLines(cmd *cobra.Command, l *eventlog.Log, args []string) error {
	progress := cli.StartProgress(cmd.ErrOrStderr(), "append", "events")
	defer progress.Stop()
	ctx := cmd.Context()
	lines := scan(ctx, cmd.InOrStdin())
	idle := time.NewTimer(0)
	defer idle.Stop()
	var done report
	var batch []line
	size := 0
	var failed error // of a flush
	flush := func() error {
		if len(batch) == 0 || failed != nil {
			return failed
		}
		failed = a.appendBatch(context.WithoutCancel(ctx), l, batch, &done)
		progress.Set(int64(done.Events+done.Repeated), 0)
		batch, size = batch[:0], 0
		return failed
	}
	take := func(text []byte) error {
		done.Lines++
		if len(bytes.TrimSpace(text)) == 0 {
			return nil
		}
		next, err := a.parseLine(text, done.Lines, args)
		if err != nil {
			return err
		}
		if n := len(batch); n == a.batch || size+len(text) > batchBytes ||
			n > 0 && !reflect.DeepEqual(batch[0].Meta, next.Meta) {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, next), size+len(text)
		return nil
	}
	for {
		var err error
		select {
		case in, more := <-lines:
			switch {
			case !more:
				if err := flush(); err != nil {
					return err
				}
				progress.Stop()
				return done.write(cmd.OutOrStdout(), a.format)
			case in.err != nil:
				err = fmt.Errorf("line %d: %w", done.Lines+1, in.err)
			default:
				err = take(in.text)
				idle.Reset(linger)
			}
		case <-idle.C: // nothing came for a while
			_ = flush()
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = flush() // what came before it is appended
		}
		switch {
		case failed != nil:
			return failed
		case err != nil:
			return fmt.Errorf("%w (%d events before it were appended)", err, done.Events)
		}
	}
}

// linger is how long a batch waits for more lines.
const linger = 50 * time.Millisecond

// input is a line, or why there is none.
type input struct {
	text []byte
	err  error
}

// scan reads lines until the input or ctx ends.
func scan(ctx context.Context, r io.Reader) <-chan input {
	out := make(chan input, 256)
	go func() {
		defer close(out)
		send := func(in input) bool {
			select {
			case out <- in:
				return true
			case <-ctx.Done():
				return false
			}
		}
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), maxLine)
		for lines.Scan() {
			if !send(input{text: bytes.Clone(lines.Bytes())}) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			send(input{err: err})
		}
	}()
	return out
}

// parseLine reads a line: an event, or only its payload when args name stream
// and type.
func (a *appending) parseLine(text []byte, number int, args []string) (line, error) {
	out := line{number: number}
	if len(args) == 2 {
		out.Stream, out.Type, out.Data = args[0], args[1], bytes.Clone(text)
		if err := checkJSON(text); err != nil {
			return out, fmt.Errorf("line %d: %w", number, err)
		}
	} else {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&out); err != nil {
			return out, fmt.Errorf("line %d: %w", number, err)
		}
		if len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
			return out, fmt.Errorf("line %d: more than one value", number)
		}
	}
	switch {
	case out.Data != nil && out.Base64 != nil:
		return out, fmt.Errorf("line %d: both data and data_base64", number)
	case out.Data == nil && out.Base64 == nil:
		return out, fmt.Errorf("line %d: neither data nor data_base64", number)
	case out.Data == nil:
		out.Data = out.Base64
	}
	out.Tags = append(out.Tags, a.options.Tags...)
	a.defaults(&out.Meta)
	return out, nil
}

// defaults puts the metadata of the flags where a line has none.
func (a *appending) defaults(m *lineMeta) {
	o := a.options.Meta
	if m.Correlation.IsZero() {
		m.Correlation = o.Correlation
	}
	if m.Actor == "" {
		m.Actor = o.Actor
	}
	if len(m.Extra) == 0 {
		m.Extra = o.Extra
	}
}

// appendBatch appends lines in one transaction.
func (a *appending) appendBatch(ctx context.Context, l *eventlog.Log, batch []line, done *report) error {
	var events, repeated int
	p, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		events, repeated = 0, 0
		*tx.Meta() = eventlog.Meta(batch[0].Meta)
		for i := range batch {
			there, err := a.appendLine(tx, &batch[i])
			if err != nil {
				return fmt.Errorf("line %d: %w", batch[i].number, err)
			}
			if there {
				repeated++
			} else {
				events++
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w (lines %d to %d were not appended, %d events before them were)",
			err, batch[0].number, batch[len(batch)-1].number, done.Events)
	}
	done.Events += events
	done.Repeated += repeated
	done.Position = done.Position.Join(p)
	if events > 0 {
		done.Transactions++
	}
	return nil
}

// appendLine adds a line to a transaction, unless its id is there already.
func (a *appending) appendLine(tx *eventlog.Tx, e *line) (there bool, err error) {
	if e.ID != "" {
		if there, err = tx.Once(e.Stream, e.ID); there || err != nil {
			return there, err
		}
	}
	if want, ok := a.expected(e); ok {
		have, err := version(tx, e.Stream)
		if err != nil {
			return false, err
		}
		if have != want {
			return false, &eventlog.VersionError{Stream: e.Stream, Want: want, Have: have}
		}
	}
	return false, tx.Append(e.Stream, eventlog.Tagged(eventlog.Raw{Type: e.Type, Data: e.Data, Codec: e.Codec}, e.Tags...))
}

// expected is the version that a line wants; --expect is for the first one.
func (a *appending) expected(e *line) (uint64, bool) {
	switch {
	case e.Expect != nil:
		return *e.Expect, true
	case a.expect == "" || e.number > 1:
		return 0, false
	case a.expect == "none":
		return 0, true
	}
	var v uint64
	_, err := fmt.Sscan(a.expect, &v)
	return v, err == nil
}

// version returns that of a stream, which becomes a condition.
func version(tx *eventlog.Tx, stream string) (uint64, error) {
	for r, err := range tx.Read(eventlog.Query{Stream: stream, Backward: true, Limit: 1}) {
		return r.Version, err
	}
	return 0, nil
}
