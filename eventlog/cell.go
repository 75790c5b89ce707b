package eventlog

import (
	"context"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// cell reads one cell; version 0 is "absent".
func (l *Log) cell(ctx context.Context, key string) (driver.Cell, error) {
	for c, err := range l.driver.Cells(ctx, key, key+"\x01", 1) {
		if err != nil {
			return driver.Cell{}, err
		}
		if c.Key == key {
			return c, nil
		}
	}
	return driver.Cell{Key: key}, nil
}

// ReadCell returns a cell and its version, 0 when it is absent. Cells written
// with SwapCell are for libraries built on the log: leases, cursors, and other
// state that can be derived again. Users' own entities live in a [Table].
func (l *Log) ReadCell(ctx context.Context, key string) (value []byte, version uint64, err error) {
	c, err := l.cell(ctx, key)
	if err != nil {
		return nil, 0, fmt.Errorf("eventlog: cell %q: %w", key, err)
	}
	return c.Value, c.Version, nil
}

// SwapCell stores value under key if its version is still old (0: absent) and
// returns the new version. A nil value removes the cell. It is refused with a
// *driver.CellError when the version is another, and wraps ErrUnknown when the
// outcome is not known. It stands outside of every transaction.
func (l *Log) SwapCell(ctx context.Context, key string, old uint64, value []byte) (version uint64, err error) {
	op := driver.CellOp{Op: driver.Put, If: &old, Cell: driver.Cell{Key: key, Value: value}}
	if value == nil {
		op.Op = driver.Delete
	}
	if version, err = l.SwapCells(ctx, op); err != nil {
		return 0, fmt.Errorf("%w (cell %q)", err, key)
	}
	return version, nil
}

// SwapCells does all of ops or nothing, like SwapCell for many cells. All that
// it puts gets the one version that it returns; versions in ops do not count.
// An op without If does not look: it is for cells whose old value is harmless.
func (l *Log) SwapCells(ctx context.Context, ops ...driver.CellOp) (version uint64, err error) {
	version = uint64(l.clock.next())
	for _, op := range ops {
		if op.If != nil {
			version = max(version, *op.If+1)
		}
	}
	list := make([]driver.CellOp, len(ops))
	for i, op := range ops {
		if op.Op == driver.Put {
			op.Cell.Version = version
		}
		list[i] = op
	}
	if err := l.driver.Write(ctx, driver.Write{ID: newID(), Cells: list}); err != nil {
		return 0, fmt.Errorf("eventlog: cells: %w", err)
	}
	return version, nil
}

// Cells yields the cells with from ≤ key < to ("": no end), in bytewise order, at
// most limit of them if limit > 0.
func (l *Log) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		for c, err := range l.driver.Cells(ctx, from, to, limit) {
			if err != nil {
				yield(c, fmt.Errorf("eventlog: cells: %w", err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// cells knows the cells that pending transactions use, as the last of these
// leaves them, and the last versions of those that this process wrote. It is
// guarded by Log.mu.
type cells struct {
	pending map[string]*pendingCell
	durable *cache[uint64]
}

type pendingCell struct {
	driver.Cell         // Version 0: absent
	last        *member // who uses it
}

func (c *cells) init() {
	c.pending = make(map[string]*pendingCell)
	c.durable = newCache[uint64](4096)
}

// A cellUse is what a transaction read of a cell and, if op is not Check, does
// to it.
type cellUse struct {
	key   string
	seen  uint64 // version that was read; 0: absent
	was   []byte // value that was read
	op    driver.Op
	value []byte // that a put stores

	version uint64 // of a put; given when the transaction is placed
}

// holds reports whether a cell still has the version that was seen, as far as
// this process knows; the driver has the last word.
func (c *cells) holds(u *cellUse) bool {
	if p, ok := c.pending[u.key]; ok {
		return p.Version == u.seen
	}
	v, ok := c.durable.get(u.key)
	return !ok || u.seen == 0 || u.seen >= v
}

// place makes what a member does visible to those behind it. Who only reads
// counts too: the first of a group states the condition for all of it.
func (c *cells) place(m *member) {
	for i := range m.cells {
		u := &m.cells[i]
		cell := driver.Cell{Key: u.key}
		switch u.op {
		case driver.Put:
			u.version = max(uint64(m.time), u.seen+1)
			cell.Value, cell.Version = u.value, u.version
		case driver.Check:
			cell.Value, cell.Version = u.was, u.seen
		}
		c.pending[u.key] = &pendingCell{cell, m}
	}
}

// settle forgets what a member has pending; written says that it is durable.
func (c *cells) settle(m *member, written bool) {
	for i := range m.cells {
		u := &m.cells[i]
		if p := c.pending[u.key]; p != nil && p.last == m {
			delete(c.pending, u.key)
		}
		switch {
		case u.op == driver.Put && written:
			c.durable.put(u.key, u.version)
		case u.op != driver.Check:
			c.durable.delete(u.key)
		}
	}
}

// ops merges what the members of a group do to cells: the first one's
// condition, the last one's value.
func (g *group) ops() []driver.CellOp {
	var ops []driver.CellOp
	at := make(map[string]int)
	for _, m := range g.members {
		for i := range m.cells {
			u := &m.cells[i]
			j, ok := at[u.key]
			if !ok {
				j = len(ops)
				at[u.key] = j
				seen := u.seen
				ops = append(ops, driver.CellOp{If: &seen, Cell: driver.Cell{Key: u.key}})
			}
			if u.op != driver.Check {
				ops[j].Op = u.op
				ops[j].Cell.Value, ops[j].Cell.Version = u.value, u.version
			}
		}
	}
	return ops
}
