package memlog

import (
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// cells are the cells of a store. A stored cell is replaced, never changed.
type cells struct {
	byKey map[string]*driver.Cell
	order []*driver.Cell // by key
}

// version returns the version of a cell, 0 when it is absent.
func (c *cells) version(key string) uint64 {
	if cell := c.byKey[key]; cell != nil {
		return cell.Version
	}
	return 0
}

func (c *cells) apply(op driver.CellOp) {
	switch key := op.Cell.Key; op.Op {
	case driver.Put:
		cell := op.Cell
		at, ok := c.search(key)
		if ok {
			cell.Key = c.order[at].Key
			c.order[at] = &cell
		} else {
			cell.Key = strings.Clone(key)
			c.order = slices.Insert(c.order, at, &cell)
		}
		if c.byKey == nil {
			c.byKey = make(map[string]*driver.Cell)
		}
		c.byKey[cell.Key] = &cell
	case driver.Delete:
		if at, ok := c.search(key); ok {
			c.order = slices.Delete(c.order, at, at+1)
			delete(c.byKey, key)
		}
	}
}

func (c *cells) search(key string) (at int, found bool) {
	return slices.BinarySearchFunc(c.order, key, func(cell *driver.Cell, key string) int {
		return strings.Compare(cell.Key, key)
	})
}

// page appends to buf[:0] the first cells with from ≤ key < to, as many as buf
// has room for.
func (c *cells) page(buf []*driver.Cell, from, to string) []*driver.Cell {
	buf = buf[:0]
	at, _ := c.search(from)
	for ; at < len(c.order) && len(buf) < cap(buf); at++ {
		if to != "" && c.order[at].Key >= to {
			break
		}
		buf = append(buf, c.order[at])
	}
	return buf
}
