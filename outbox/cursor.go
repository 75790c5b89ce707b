package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A cursor says what of a $steps stream needs no more looking at: the versions
// up to At but for Open. It is kept in a cell; it may be lost, because every
// step's tag says the same, at the cost of a look-up each.
type cursor struct {
	At   uint64   `json:"at"`
	Open []uint64 `json:"open,omitempty"` // ≤ At, in order
}

func cursorKey(shard int) string { return fmt.Sprintf("$steps\x01cursor\x01%04d", shard) }

// passed reports whether a version needs no more looking at.
func (c cursor) passed(version uint64) bool {
	_, open := slices.BinarySearch(c.Open, version)
	return version <= c.At && !open
}

// join returns the cursor that knows what c and d know.
func (c cursor) join(d cursor) cursor {
	if d.At > c.At {
		c, d = d, c
	}
	out := cursor{At: c.At}
	for _, v := range c.Open {
		if !d.passed(v) {
			out.Open = append(out.Open, v)
		}
	}
	return out
}

// A bookmark is the cell of a cursor as last seen.
type bookmark struct {
	cursor
	version uint64 // of the cell; 0: absent
}

func readBookmark(ctx context.Context, l *eventlog.Log, shard int) (bookmark, error) {
	value, version, err := l.ReadCell(ctx, cursorKey(shard))
	return bookmark{decodeCursor(value), version}, err
}

// decodeCursor reads what is stored. What is no cursor knows nothing.
func decodeCursor(value []byte) cursor {
	var c cursor
	if len(value) == 0 || json.Unmarshal(value, &c) != nil {
		return cursor{}
	}
	if n := len(c.Open); n > 0 && (!slices.IsSorted(c.Open) || c.Open[0] == 0 || c.Open[n-1] > c.At) {
		return cursor{}
	}
	return c
}

// save adds what c knows to the cell, and to b what others added meanwhile.
func (b bookmark) save(ctx context.Context, l *eventlog.Log, shard int, c cursor) (bookmark, error) {
	for {
		c = c.join(b.cursor)
		value, err := json.Marshal(c)
		if err != nil {
			return b, err
		}
		version, err := l.SwapCell(ctx, cursorKey(shard), b.version, value)
		if err == nil {
			return bookmark{c, version}, nil
		}
		if lost := new(driver.CellError); !errors.As(err, &lost) {
			return b, err
		}
		if b, err = readBookmark(ctx, l, shard); err != nil {
			return b, err
		}
	}
}
