package pebblelog

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// ErrReadOnly refuses a Write to a log that was opened with Options.ReadOnly.
var ErrReadOnly = errors.New("opened read-only")

// Write does all of w or nothing; see driver.Log. It returns after w is on disk.
// When ctx ends while w waits for its turn, nothing of it is written. Once its
// turn has come Write waits for the disk, whatever ctx says: so only a failure of
// the directory leaves an outcome unknown.
func (l *Log) Write(ctx context.Context, w driver.Write) error { return l.Start(ctx, w)() }

// Start is Write in two steps. It puts w behind all that were started before it: it
// is decided on after them, and may count on what they do. wait does the rest and
// returns the answer; it has to be called, and w is the caller's again when it
// returns.
func (l *Log) Start(ctx context.Context, w driver.Write) (wait func() error) {
	r, leads, err := l.start(ctx, &w)
	return func() error {
		if err == nil {
			err = l.commits.end(ctx, l, r, leads)
			l.leave()
		}
		if err != nil {
			return fmt.Errorf("pebblelog: %w", err)
		}
		return nil
	}
}

func (l *Log) start(ctx context.Context, w *driver.Write) (r *request, leads bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := w.Validate(); err != nil {
		return nil, false, err
	}
	if err := l.enter(); err != nil {
		return nil, false, err
	}
	r = l.commits.request(w)
	if err := l.encode(r); err != nil {
		l.leave()
		return nil, false, err
	}
	return r, l.commits.join(r), nil
}

// encode turns the write of r into rows, in the caller's goroutine, so that the
// committer only joins them. They are put in the order of their keys: the engine
// finds the place of a row fastest behind the one before it.
func (l *Log) encode(r *request) error {
	if !changes(r.write) {
		return nil
	}
	if l.opts.ReadOnly {
		return ErrReadOnly
	}
	r.rows = l.db.NewBatch()
	for i := range r.write.Batches {
		b := &r.write.Batches[i]
		if b.Shard > maxShard {
			return fmt.Errorf("shard %d: at most %d", b.Shard, maxShard)
		}
		r.index = putIndex(r.rows, b, r.index[:0])
	}
	for i := range r.write.Cells {
		putCell(r.rows, &r.write.Cells[i])
	}
	for i := range r.write.Batches {
		putCommits(r.rows, &r.write.Batches[i])
	}
	return nil
}

func putCommits(rows *pebble.Batch, b *driver.Batch) {
	for i := range b.Commits {
		c := &b.Commits[i]
		op := rows.SetDeferred(commitLen, len(c.Data))
		appendCommitKey(op.Key[:0], b.Shard, c.Revision)
		copy(op.Value, c.Data)
	}
}

// indexRow is a key with the revision of its commit.
type indexRow struct {
	driver.Key
	rev driver.Revision
}

// putIndex uses the memory of list.
func putIndex(rows *pebble.Batch, b *driver.Batch, list []indexRow) []indexRow {
	for i := range b.Commits {
		c := &b.Commits[i]
		for _, k := range c.Keys {
			list = append(list, indexRow{k, c.Revision})
		}
	}
	slices.SortFunc(list, func(x, y indexRow) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Pos, y.Pos))
	})
	for _, k := range list {
		var buf [binary.MaxVarintLen64]byte
		value := appendIndexValue(buf[:0], k.Pos, k.rev)
		op := rows.SetDeferred(indexKeyLen(k.Name), len(value))
		appendIndexKey(op.Key[:0], b.Shard, k.Name, k.Pos)
		copy(op.Value, value)
	}
	clear(list) // it outlives the write, the names must not
	return list
}

func putCell(b *pebble.Batch, o *driver.CellOp) {
	switch o.Op {
	case driver.Put:
		var buf [binary.MaxVarintLen64]byte
		version := appendCellVersion(buf[:0], o.Cell.Version)
		op := b.SetDeferred(1+len(o.Cell.Key), len(version)+len(o.Cell.Value))
		appendCellKey(op.Key[:0], o.Cell.Key)
		copy(op.Value[copy(op.Value, version):], o.Cell.Value)
	case driver.Delete:
		op := b.DeleteDeferred(1 + len(o.Cell.Key))
		appendCellKey(op.Key[:0], o.Cell.Key)
	}
}

// changes reports whether w writes anything, or only checks.
func changes(w *driver.Write) bool {
	for i := range w.Batches {
		if len(w.Batches[i].Commits) > 0 {
			return true
		}
	}
	for i := range w.Cells {
		if w.Cells[i].Op != driver.Check {
			return true
		}
	}
	return false
}
