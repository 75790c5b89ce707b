package eventlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// An ImportResult says what an Import did.
type ImportResult struct {
	Transactions int64 // appended
	Events       int64 // in them
	Repeated     int64 // transactions that were there already
	Rows         int64 // of tables that were written or removed
}

// Import reads what [Export] wrote and makes the log the same: ids, versions,
// times, metadata and transactions, idempotency ids, and the rows of tables. The
// log is empty, or holds a part of the same export: what is there already is
// compared and left alone, so an interrupted Import is repeated to go on, and one
// that was complete changes nothing, however the log went on since.
//
// Nobody else may write to the log meanwhile, and nobody should rely on it before
// Import is done: shards get their events side by side.
//
// The log should have as many shards as the exported one (see
// [ExportedOptions]). With another number, revisions are others, transactions
// that come to lie in one shard at the same nanosecond are set apart by one, and
// an export with system streams of shards ($name/3) is refused: what they say
// about shards would be wrong.
//
// A line that is malformed, contradicts the log or comes too early is an error
// that says which line, stream and version; it wraps ErrConflict when the log
// holds something else at that place. Nothing of its transaction is written, nor
// of one that it may have cut short; what came before stays.
func Import(ctx context.Context, l *Log, r io.Reader) (ImportResult, error) {
	im := &importer{log: l, lines: lineReader{r: bufio.NewReaderSize(r, 256<<10)}}
	err := im.run(ctx)
	if failed := im.wait(ctx, 0); failed != nil { // of an earlier line
		err = failed
	}
	if err != nil {
		return im.result, fmt.Errorf("eventlog: import: %w", err)
	}
	return im.result, nil
}

type importer struct {
	log    *Log
	lines  lineReader
	header exportHeader
	same   bool              // the log has as many shards as the exported one
	from   []driver.Revision // of each exported shard, the last commit that was read
	have   []*cursor         // what the log had in each shard when Import began
	newest int64             // time of the last commit that the log had
	next   []uint64          // of each shard: revisions, with what is in flight
	epoch  []uint64          // of each lane, when Import began
	last   []int64           // time of the last commit in each shard, as imported
	group  []*transaction    // of one time, still being read
	flight []arrival         // on their way into the log, in order
	bytes  int               // in flight
	failed error             // of what was in flight, the first
	result ImportResult
}

func (im *importer) run(ctx context.Context) error {
	if err := im.begin(ctx); err != nil {
		return err
	}
	rows := newRowImport(im)
	defer rows.stop()
	for {
		line, err := im.lines.next()
		if err == io.EOF {
			return im.at(errors.New("the export is cut short behind it: the end line is missing"))
		}
		if err != nil {
			return im.at(err)
		}
		kind := kindOf(line)
		if kind != kindRow {
			if err := rows.finish(ctx); err != nil {
				return err
			}
		}
		switch kind {
		case kindRow:
			err = rows.add(ctx, line)
		case kindCommit, "":
			err = im.commitLine(ctx, kind, line)
		case kindEnd:
			return im.end(ctx, line)
		default:
			err = fmt.Errorf("unknown kind %.60q", kind)
		}
		if err != nil {
			return im.at(err)
		}
	}
}

// at names the line that was read last.
func (im *importer) at(err error) error { return atLine(max(im.lines.n, 1), err) }

// atLine names the line of an error that does not name it itself.
func atLine(line int64, err error) error {
	if errors.As(err, new(*lineError)) {
		return err
	}
	return &lineError{line, err}
}

// A lineError says in which line of an export an error lies.
type lineError struct {
	line int64
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// begin reads the header and looks at what the log holds.
func (im *importer) begin(ctx context.Context) error {
	line, err := im.lines.next()
	if err == io.EOF {
		err = errors.New("empty")
	}
	if err == nil {
		im.header, err = parseHeader(line)
	}
	if err != nil {
		return im.at(err)
	}
	l := im.log
	im.same = im.header.Shards == l.Shards()
	im.from = make([]driver.Revision, im.header.Shards)
	im.have = make([]*cursor, l.Shards())
	im.last = make([]int64, l.Shards())
	im.next, im.epoch = make([]uint64, l.Shards()), make([]uint64, l.Shards())
	l.mu.Lock()
	for s, ln := range l.lanes {
		im.epoch[s] = ln.epoch
	}
	l.mu.Unlock()
	at, err := l.Position(ctx)
	if err != nil {
		return err
	}
	for s := range im.have {
		im.next[s] = uint64(at.Revision(s))
		r := driver.Range{From: 1, To: uint64(at.Revision(s)) + 1}
		im.have[s] = &cursor{log: l, shard: s, left: r, limit: pageLimit, done: r.To == 1}
		if tail := at.Revision(s); tail > 0 {
			c, err := l.commitAt(ctx, s, tail)
			if err != nil {
				return err
			}
			im.newest = max(im.newest, c.time)
		}
	}
	return nil
}

// commitLine takes an event, or what else a commit holds, to the transaction it
// belongs to. Transactions of an earlier time are complete then.
func (im *importer) commitLine(ctx context.Context, kind string, line []byte) error {
	var in commitLine
	if err := in.parse(kind, line); err != nil {
		return err
	}
	if n := len(im.group); n > 0 && in.time != im.group[0].time {
		if in.time < im.group[0].time {
			return fmt.Errorf("time goes back from %s to %s", formatTime(im.group[0].time), formatTime(in.time))
		}
		if err := im.flush(ctx); err != nil {
			return err
		}
	}
	if err := im.checkPlace(&in); err != nil {
		return err
	}
	in.line = im.lines.n
	for _, t := range im.group {
		if t.id == in.tx {
			return t.add(&in)
		}
	}
	t := &transaction{id: in.tx, time: in.time}
	im.group = append(im.group, t)
	return t.add(&in)
}

// checkPlace checks that a line stands in the shard it belongs to, behind the
// commit before.
func (im *importer) checkPlace(in *commitLine) error {
	if in.shard < 0 || in.shard >= im.header.Shards {
		return fmt.Errorf("shard %d: the exported log has 0 to %d", in.shard, im.header.Shards-1)
	}
	for _, name := range in.streams() {
		if s := shardOf(name, im.header.Shards); s != in.shard {
			return fmt.Errorf("stream %s lies in shard %d, not %d", name, s, in.shard)
		}
		if !im.same && isShardsOwn(name) {
			return fmt.Errorf("%w: %s belongs to a shard: a log with such streams keeps its number of shards, %d; this one has %d",
				ErrFormat, name, im.header.Shards, im.log.Shards())
		}
	}
	for _, name := range in.tables {
		if s := tableShard(name, im.header.Shards); s != in.shard {
			return fmt.Errorf("table %s lies in shard %d, not %d", name, s, in.shard)
		}
	}
	last := &im.from[in.shard]
	if in.rev != *last+1 && (in.rev != *last || !im.reading(in)) {
		return fmt.Errorf("shard %d goes from revision %d to %d", in.shard, *last, in.rev)
	}
	*last = in.rev
	return nil
}

// reading reports whether a commit at this place is being read.
func (im *importer) reading(in *commitLine) bool {
	for _, t := range im.group {
		if t.id == in.tx && t.holds(in.shard, in.rev) {
			return true
		}
	}
	return false
}

// isShardsOwn reports whether a stream is named after its shard: $name/3.
func isShardsOwn(stream string) bool {
	_, n, _ := strings.Cut(stream, "/")
	i, err := strconv.Atoi(n)
	return strings.HasPrefix(stream, "$") && err == nil && i >= 0 && i < maxShards
}

// flush brings the transactions that were read into the log.
func (im *importer) flush(ctx context.Context) error {
	group := im.group
	im.group = nil
	for _, t := range group {
		if err := im.transaction(ctx, t); err != nil {
			return atLine(t.line, err)
		}
	}
	return nil
}

// end checks that the export is whole.
func (im *importer) end(ctx context.Context, line []byte) error {
	var end exportEnd
	if err := unmarshalStrict(line, &end); err != nil {
		return im.at(err)
	}
	if err := im.flush(ctx); err != nil {
		return err
	}
	if end.Lines != im.lines.n-1 {
		return im.at(fmt.Errorf("%d lines stand before it, it says %d: some are missing or too many", im.lines.n-1, end.Lines))
	}
	if _, err := im.lines.next(); err != io.EOF {
		return im.at(errors.New("there is more behind the end"))
	}
	return nil
}
