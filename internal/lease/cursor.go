package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// Cursors say in cells how far the work on each thing of a Keeper has come: a T as
// JSON, with the epoch of the lease under which it was written. Taking the lease
// writes the cell, see Fence, so that whoever had the lease before can move it no
// more. All fields are required.
type Cursors[T any] struct {
	Log   *eventlog.Log
	Key   func(index int) string
	Begin func(index int) T // where there is no cell
	Epoch func(*T) *uint64  // the member that holds it
}

// A Cursor is a cell as last seen.
type Cursor[T any] struct {
	At      T
	version uint64 // 0: absent
}

// ErrLost says that a cursor is in other hands.
var ErrLost = errors.New("the lease was lost")

// Read returns the cursor of a thing. One that cannot be read wraps
// eventlog.ErrCorrupt.
func (c *Cursors[T]) Read(ctx context.Context, index int) (Cursor[T], error) {
	m := Cursor[T]{At: c.Begin(index)}
	key := c.Key(index)
	value, version, err := c.Log.ReadCell(ctx, key)
	if err != nil || version == 0 {
		return m, err
	}
	m.version = version
	if err := json.Unmarshal(value, &m.At); err != nil {
		return m, fmt.Errorf("%w: cell %q: %w", eventlog.ErrCorrupt, key, err)
	}
	return m, nil
}

// Fence is the Fence of a Keeper: it writes the cursor as it is, under the new
// epoch.
func (c *Cursors[T]) Fence(ctx context.Context, index int, epoch uint64) ([]driver.CellOp, error) {
	m, err := c.Read(ctx, index)
	if err != nil {
		return nil, err
	}
	*c.Epoch(&m.At) = epoch
	value, err := json.Marshal(m.At)
	return []driver.CellOp{{Op: driver.Put, If: &m.version, Cell: driver.Cell{Key: c.Key(index), Value: value}}}, err
}

// Load reads the cursor that a lease was taken with, or returns ErrLost. It is not
// in other hands when somebody removed it, so that it begins anew.
func (c *Cursors[T]) Load(ctx context.Context, l Lease) (Cursor[T], error) {
	m, err := c.Read(ctx, l.Index)
	if err == nil && m.version > 0 && *c.Epoch(&m.At) != l.Epoch {
		err = fmt.Errorf("%w: the cursor has epoch %d, the lease %d", ErrLost, *c.Epoch(&m.At), l.Epoch)
	}
	return m, err
}

// Save moves the cursor that was seen as m, and returns it as it is then. It wraps
// ErrLost when it is in other hands.
func (c *Cursors[T]) Save(ctx context.Context, l Lease, m Cursor[T], to T) (Cursor[T], error) {
	*c.Epoch(&to) = l.Epoch
	value, err := json.Marshal(to)
	for try := 1; err == nil; try++ {
		var version uint64
		version, err = c.Log.SwapCell(ctx, c.Key(l.Index), m.version, value)
		if err == nil {
			return Cursor[T]{to, version}, nil
		}
		if !errors.As(err, new(*driver.CellError)) && !errors.Is(err, driver.ErrUnknown) || try == 3 {
			break
		}
		m, err = c.Load(ctx, l) // under this epoch only this runner writes: an earlier attempt did arrive
	}
	return m, err
}
