package eventlog

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A rowImport makes the rows of all tables like those of an export, which come
// sorted. When the log has commits behind the export's end, its tables are newer,
// and stay as they are. Rows are written before the events, so that a log that
// has all events has all rows.
type rowImport struct {
	im    *importer
	newer bool // than the export
	done  bool
	last  string // key of the row before

	next func() (driver.Cell, error, bool) // what the log has
	end  func()
	have driver.Cell // the next of it, if ok
	ok   bool

	ops  []driver.CellOp
	size int
}

const rowBatch = 512 << 10 // bytes of rows written together

func newRowImport(im *importer) *rowImport {
	return &rowImport{im: im, newer: im.newest > im.header.end()}
}

func (r *rowImport) stop() {
	if r.end != nil {
		r.end()
	}
}

// add makes the log have a row, and none between the one before and this.
func (r *rowImport) add(ctx context.Context, line []byte) error {
	if r.done {
		return fmt.Errorf("a row behind events")
	}
	var in exportRow
	if err := unmarshalStrict(line, &in); err != nil {
		return err
	}
	value, err := oneValue("value", in.Value, in.Base64)
	if err != nil {
		return err
	}
	if err := checkRow(in.Table, in.Key, value); err != nil {
		return err
	}
	key := cellKey(in.Table, in.Key)
	if key <= r.last {
		return fmt.Errorf("table %s key %q: rows are not sorted", in.Table, in.Key)
	}
	r.last = key
	if r.newer {
		return nil
	}
	if err := r.removeUpTo(ctx, key); err != nil {
		return err
	}
	old := uint64(0)
	if r.ok && r.have.Key == key {
		if bytes.Equal(r.have.Value, value) {
			return r.advance()
		}
		old = r.have.Version
		if err := r.advance(); err != nil {
			return err
		}
	}
	version := max(uint64(r.im.log.clock.next()), old+1)
	return r.op(ctx, driver.CellOp{Op: driver.Put, If: &old, Cell: driver.Cell{Key: key, Value: bytes.Clone(value), Version: version}})
}

func checkRow(table, key string, value []byte) error {
	if err := checkName("table name", table); err != nil {
		return err
	}
	if err := checkName("key", key); err != nil {
		return err
	}
	if len(value) > MaxEvent {
		return fmt.Errorf("%w: row of %d bytes, at most %d", ErrTooLarge, len(value), MaxEvent)
	}
	return driver.CheckName(cellKey(table, key))
}

// finish removes what the log has behind the last row, and writes the rest.
func (r *rowImport) finish(ctx context.Context) error {
	if r.done {
		return nil
	}
	r.done = true
	if r.newer {
		return nil
	}
	if err := r.removeUpTo(ctx, lastTableCell); err != nil {
		return err
	}
	return r.write(ctx)
}

// removeUpTo removes the rows of the log before key.
func (r *rowImport) removeUpTo(ctx context.Context, key string) error {
	if r.next == nil {
		var cells iter.Seq2[driver.Cell, error] = r.im.log.driver.Cells(ctx, tableCells, lastTableCell, 0)
		r.next, r.end = iter.Pull2(cells)
		if err := r.advance(); err != nil {
			return err
		}
	}
	for r.ok && r.have.Key < key {
		old := r.have.Version
		if err := r.op(ctx, driver.CellOp{Op: driver.Delete, If: &old, Cell: driver.Cell{Key: r.have.Key}}); err != nil {
			return err
		}
		if err := r.advance(); err != nil {
			return err
		}
	}
	return nil
}

func (r *rowImport) advance() (err error) {
	r.have, err, r.ok = r.next()
	return err
}

func (r *rowImport) op(ctx context.Context, op driver.CellOp) error {
	r.ops = append(r.ops, op)
	if r.size += len(op.Cell.Key) + len(op.Cell.Value); r.size < rowBatch {
		return nil
	}
	return r.write(ctx)
}

func (r *rowImport) write(ctx context.Context) error {
	if len(r.ops) == 0 {
		return nil
	}
	if err := r.im.log.driver.Write(ctx, driver.Write{ID: newID(), Cells: r.ops}); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	r.im.result.Rows += int64(len(r.ops))
	r.ops, r.size = r.ops[:0], 0
	return nil
}
