package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// ExportOptions say how Export works. nil is the default.
type ExportOptions struct {
	// Begun is what an earlier Export, which was interrupted, wrote. Export
	// compares it with the log and writes only what is missing behind it.
	Begun io.Reader
	// Progress is called now and then with the number of commits written, and how
	// many there are in all.
	Progress func(done, total int64)
}

// Export writes the whole log to w as lines of JSON, from which [Import] makes
// the same log again: events with their ids, versions, times and metadata,
// transactions, idempotency ids, and the rows of tables. It shows the log at one
// moment; commits that come while it runs are not part of it. Relaxed appends have
// no place at any moment, so those that wait are folded first (see [Log.Fold]). When tables change
// while they are read it fails with ErrConflict; what it wrote is then of no use.
func Export(ctx context.Context, l *Log, w io.Writer, o *ExportOptions) error {
	e := &exporter{log: l, out: bufio.NewWriterSize(w, 256<<10)}
	if o != nil {
		e.progress = o.Progress
		if o.Begun != nil {
			e.begun = bufio.NewReaderSize(o.Begun, 256<<10)
		}
	}
	if err := e.run(ctx); err != nil {
		return fmt.Errorf("eventlog: export: %w", err)
	}
	return nil
}

type exporter struct {
	log      *Log
	out      *bufio.Writer
	begun    *bufio.Reader // what is written already; nil at its end
	offset   int64         // in it
	progress func(done, total int64)
	lines    int64
	buf      []byte
}

func (e *exporter) run(ctx context.Context) error {
	if _, err := e.log.Fold(ctx); err != nil {
		return err
	}
	rows, count, err := e.rows(ctx, nil)
	if err != nil {
		return err
	}
	until, err := e.until(ctx)
	if err != nil {
		return err
	}
	if until, err = e.resume(until, count); err != nil {
		return err
	}
	if err := e.header(until); err != nil {
		return err
	}
	now, _, err := e.rows(ctx, e.row)
	if err != nil {
		return err
	}
	if now != rows {
		return fmt.Errorf("%w: tables changed while they were read", ErrConflict)
	}
	if err := e.commits(ctx, until); err != nil {
		return err
	}
	e.buf = fmt.Appendf(e.buf[:0], `{"kind":"end","lines":%d}`, e.lines)
	if err := e.line(); err != nil {
		return err
	}
	if e.begun != nil {
		if _, err := e.begun.ReadByte(); err != io.EOF {
			return fmt.Errorf("what was begun goes on behind byte %d, where the export ends", e.offset)
		}
	}
	return e.out.Flush()
}

// line writes what is in buf.
func (e *exporter) line() error {
	e.lines++
	e.buf = append(e.buf, '\n')
	rest, err := e.skip(e.buf)
	if err == nil {
		_, err = e.out.Write(rest)
	}
	return err
}

// skip takes from line what is written already.
func (e *exporter) skip(line []byte) (rest []byte, err error) {
	for e.begun != nil && len(line) > 0 {
		_, err := e.begun.Peek(1) // fills its buffer
		if err == io.EOF {
			e.begun = nil
			break
		}
		if err != nil {
			return nil, fmt.Errorf("what was begun: %w", err)
		}
		have, _ := e.begun.Peek(min(e.begun.Buffered(), len(line)))
		if !bytes.Equal(have, line[:len(have)]) {
			return nil, fmt.Errorf("%w: what was begun is not the beginning of this log's export: it differs in line %d, behind byte %d",
				ErrConflict, e.lines, e.offset)
		}
		n, _ := e.begun.Discard(len(have))
		e.offset += int64(n)
		line = line[n:]
	}
	return line, nil
}

// resume returns the time at which the export that was begun ends.
func (e *exporter) resume(until int64, rows int) (int64, error) {
	if e.begun == nil {
		return until, nil
	}
	begin, _ := e.begun.Peek(4096)
	line, _, ok := bytes.Cut(begin, []byte("\n"))
	if !ok {
		return until, nil // it will match, or not
	}
	h, err := parseHeader(line)
	switch {
	case err != nil:
		return 0, fmt.Errorf("what was begun: line 1: %w", err)
	case h.end() > until:
		return 0, fmt.Errorf("%w: what was begun ends at %s, which is later than the log", ErrConflict, h.Until)
	case h.end() < until && rows > 0:
		return 0, fmt.Errorf("%w: the log went on, with its tables, since the export was begun: begin anew", ErrConflict)
	}
	return h.end(), nil
}

func (e *exporter) header(until int64) error {
	h := exportHeader{Kind: kindLog, Format: exportFormat, Shards: e.log.opts.Shards, Index: e.log.opts.Index}
	if until > 0 {
		t := time.Unix(0, until).UTC()
		h.Until = &t
	}
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	e.buf = append(e.buf[:0], line...)
	return e.line()
}

// scan returns cursors over the commits of all shards.
func (e *exporter) scan(ctx context.Context, q Query) (*plan, []*cursor, error) {
	p, err := e.log.plan(q)
	if err != nil {
		return nil, nil, err
	}
	cursors := make([]*cursor, len(p.shards))
	for i, s := range p.shards {
		cursors[i] = p.cursor(s, nil)
		if q.Backward {
			cursors[i].limit = 1
		}
		if err := p.seek(ctx, cursors[i]); err != nil {
			return nil, nil, err
		}
	}
	return p, cursors, nil
}

func (e *exporter) commits(ctx context.Context, until int64) error {
	_, cursors, err := e.scan(ctx, Query{})
	if err != nil {
		return err
	}
	at, err := e.log.Position(ctx)
	if err != nil {
		return err
	}
	done, total := int64(0), int64(0)
	for s := range e.log.Shards() {
		total += int64(at.Revision(s))
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, first, err := earliestCommit(ctx, cursors, false)
		if err != nil || c == nil || first.time > until {
			return err
		}
		if err := e.commit(first); err != nil {
			return err
		}
		c.next()
		if done++; e.progress != nil && done%1024 == 0 {
			e.progress(done, total)
		}
	}
}

func (e *exporter) commit(c *placed) error {
	if len(c.events) == 0 || len(c.onces) > 0 || len(c.tables) > 0 {
		e.buf = c.appendJSON(e.buf[:0])
		if !utf8.Valid(e.buf) {
			return fmt.Errorf("shard %d revision %d: metadata is not UTF-8", c.shard, c.rev)
		}
		if err := e.line(); err != nil {
			return err
		}
	}
	for i := range c.events {
		r := c.record(e.log, c.shard, c.rev, &c.events[i])
		var err error
		if e.buf, err = r.appendJSON(e.buf[:0]); err != nil {
			return err
		}
		if err := e.line(); err != nil {
			return err
		}
	}
	return nil
}
