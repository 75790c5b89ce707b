package pebblelog

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// ErrReadOnly refuses a Write to a log that was opened with Options.ReadOnly.
var ErrReadOnly = errors.New("opened read-only")

// Write does all of w or nothing; see driver.Log. It returns after w is on disk.
// When ctx ends while w waits for its turn, nothing of it is written. Once its
// turn has come Write waits for the disk, whatever ctx says: so only a failure of
// the directory leaves an outcome unknown.
func (l *Log) Write(ctx context.Context, w driver.Write) error {
	if err := l.write(ctx, &w); err != nil {
		return fmt.Errorf("pebblelog: %w", err)
	}
	return nil
}

func (l *Log) write(ctx context.Context, w *driver.Write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.Validate(); err != nil {
		return err
	}
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave()
	r, err := l.encode(w)
	if err != nil {
		return err
	}
	return l.commits.submit(ctx, l, r)
}

// encode turns w into rows, in the caller's goroutine, so that the committer
// only joins them.
func (l *Log) encode(w *driver.Write) (*request, error) {
	r := newRequest(w)
	if !changes(w) {
		return r, nil
	}
	if l.opts.ReadOnly {
		return nil, ErrReadOnly
	}
	r.rows = l.db.NewBatchWithSize(256)
	for i := range w.Batches {
		b := &w.Batches[i]
		if b.Shard > maxShard {
			return nil, fmt.Errorf("shard %d: at most %d", b.Shard, maxShard)
		}
		for j := range b.Commits {
			putCommit(r.rows, b.Shard, &b.Commits[j])
		}
	}
	for i := range w.Cells {
		putCell(r.rows, &w.Cells[i])
	}
	return r, nil
}

func putCommit(b *pebble.Batch, shard int, c *driver.Commit) {
	op := b.SetDeferred(commitLen, len(c.Data))
	appendCommitKey(op.Key[:0], shard, c.Revision)
	copy(op.Value, c.Data)
	for i := range c.Keys {
		putIndex(b, shard, c.Revision, &c.Keys[i])
	}
}

func putIndex(b *pebble.Batch, shard int, rev driver.Revision, k *driver.Key) {
	var buf [10]byte
	value := appendIndexValue(buf[:0], k.Pos, rev)
	op := b.SetDeferred(indexKeyLen(k.Name), len(value))
	appendIndexKey(op.Key[:0], shard, k.Name, k.Pos)
	copy(op.Value, value)
}

func putCell(b *pebble.Batch, o *driver.CellOp) {
	switch o.Op {
	case driver.Put:
		var buf [10]byte
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
