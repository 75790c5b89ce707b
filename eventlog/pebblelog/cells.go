package pebblelog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A cellView lets readers see cells as they are on disk. Commits and index rows
// are never changed, so a durable revision bounds them; a cell is overwritten in
// place, so while a batch with cells is being synced readers use a snapshot from
// before it. (A snapshot for each batch, for all rows, would need none of the
// bounds, and costs two locks of the engine's mutex for every sync.)
type cellView struct {
	mu       sync.RWMutex
	snapshot *pebble.Snapshot // nil: what the engine shows is durable
}

// hide keeps readers at the present state until show. After a failed sync there
// is no show: the batch stays hidden.
func (v *cellView) hide(db *pebble.DB) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.snapshot = db.NewSnapshot()
}

func (v *cellView) show() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.snapshot.Close()
	v.snapshot = nil
}

func (v *cellView) close() error {
	if v.snapshot == nil {
		return nil
	}
	return v.snapshot.Close()
}

// iter opens an iterator over durable cells. The iterator outlives the snapshot,
// for it holds the files itself, but it must be made while the snapshot stands.
func (v *cellView) iter(db *pebble.DB, o *pebble.IterOptions) (*pebble.Iterator, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.snapshot != nil {
		return v.snapshot.NewIter(o)
	}
	return db.NewIter(o)
}

// cellVersion returns the version that a cell has, 0 when it is absent. It is for
// the leader: all that the engine shows it is durable.
func (l *Log) cellVersion(name string) (uint64, error) {
	key := appendCellKey(nil, name)
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cell %q: %w", name, readError(err))
	}
	defer closer.Close()
	version, _, err := parseCellValue(key, value)
	return version, err
}

// A page of cells ends after this many, or this many bytes.
const (
	cellPage      = 256
	cellPageBytes = 1 << 20
)

// Cells yields the cells with from ≤ key < to (to empty: no end) in bytewise
// order, at most limit of them if limit > 0. It reads page by page: a cell that
// changes meanwhile is yielded as it was at one moment since the call.
func (l *Log) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		lower, upper := appendCellKey(nil, from), []byte{kindCell + 1}
		if to != "" {
			upper = appendCellKey(nil, to)
		}
		left := limit
		pages(ctx, l, yield, func() ([]driver.Cell, bool, error) {
			size := cellPage
			if limit > 0 {
				size = min(size, left)
			}
			page, more, err := l.readCells(lower, upper, size)
			if err != nil {
				return page, false, fmt.Errorf("cells: %w", err)
			}
			if left -= len(page); more {
				lower = append(appendCellKey(nil, page[len(page)-1].Key), 0)
			}
			return page, more && left != 0, nil
		})
	}
}

// readCells reads one page, and whether there may be more behind it. It does not
// step behind the last cell: a cell that was written a thousand times has as many
// rows in the memtable, which a step passes one by one.
func (l *Log) readCells(lower, upper []byte, size int) (page []driver.Cell, more bool, err error) {
	if bytes.Compare(lower, upper) >= 0 {
		return nil, false, nil
	}
	it, err := l.cells.iter(l.db, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, false, readError(err)
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		c, err := parseCell(it)
		if err != nil {
			return page, false, err
		}
		page = append(page, c)
		if n += len(c.Value); len(page) == size || n > cellPageBytes {
			return page, true, nil
		}
	}
	return page, false, readError(it.Error())
}

func parseCell(it *pebble.Iterator) (driver.Cell, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return driver.Cell{}, readError(err)
	}
	version, rest, err := parseCellValue(it.Key(), value)
	if err != nil {
		return driver.Cell{}, err
	}
	return driver.Cell{Key: string(it.Key()[1:]), Version: version, Value: bytes.Clone(rest)}, nil
}
