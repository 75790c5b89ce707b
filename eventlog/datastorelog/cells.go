package datastorelog

import (
	"context"
	"fmt"
	"iter"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A rawCell is the entity of a cell, whose key comes apart from it. version 0: it
// was not there.
type rawCell struct {
	value   []byte
	version int64
	problem error
}

// The properties of a cell, not indexed.
const (
	propValue   = "value"
	propVersion = "version"
)

// Save implements datastore.PropertyLoadSaver.
func (c *rawCell) Save() ([]datastore.Property, error) {
	value := c.value
	if value == nil {
		value = []byte{}
	}
	return []datastore.Property{
		{Name: propValue, Value: value, NoIndex: true},
		{Name: propVersion, Value: c.version, NoIndex: true},
	}, nil
}

// Load implements datastore.PropertyLoadSaver.
func (c *rawCell) Load(props []datastore.Property) error {
	*c = rawCell{}
	for _, p := range props {
		ok := true
		switch p.Name {
		case propValue:
			c.value, ok = p.Value.([]byte)
		case propVersion:
			c.version, ok = p.Value.(int64)
		}
		if !ok {
			c.problem = fmt.Errorf("property %s is a %T", p.Name, p.Value)
		}
	}
	if c.problem == nil && c.version == 0 {
		c.problem = fmt.Errorf("no property %s", propVersion)
	}
	return nil
}

func (c *rawCell) cell(name string) (driver.Cell, error) {
	key, err := parseCellName(name)
	if err != nil {
		return driver.Cell{}, err
	}
	if c.problem != nil {
		return driver.Cell{}, fmt.Errorf("%w: cell %q: %w", driver.ErrCorrupt, key, c.problem)
	}
	value := c.value
	if value == nil {
		value = []byte{}
	}
	return driver.Cell{Key: key, Value: value, Version: uint64(c.version)}, nil
}

// Cells yields the cells with from ≤ key < to, in bytewise order.
func (l *Log) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		s := span{cellName(from), cellEnd}
		if to != "" {
			s.to = cellName(to)
		}
		walk(ctx, l, yield, func(ctx context.Context) ([]driver.Cell, bool, error) {
			if s.empty() {
				return nil, false, nil
			}
			size := l.cellSize.page()
			if limit > 0 {
				size = min(size, limit)
			}
			page, end, err := l.cellPage(ctx, s, size)
			if n := len(page); n > 0 {
				s.from = cellName(page[n-1].Key) + terminator
				limit -= n
			}
			return page, !end && limit != 0, err
		})
	}
}

// cellPage reads the first cells of a span, at most size. end says that there
// are no more.
func (l *Log) cellPage(ctx context.Context, s span, size int) (page []driver.Cell, end bool, err error) {
	key := func(name string) *datastore.Key {
		return &datastore.Key{Kind: l.kinds.cell, Name: name, Namespace: l.opts.Namespace}
	}
	q := datastore.NewQuery(l.kinds.cell).Namespace(l.opts.Namespace).Order("__key__").
		FilterField("__key__", ">=", key(s.from)).FilterField("__key__", "<", key(s.to))
	bytes := 0
	size, err = l.results(ctx, q, size, func() datastore.PropertyLoadSaver { return new(rawCell) }, func(k *datastore.Key, e datastore.PropertyLoadSaver) error {
		c, err := e.(*rawCell).cell(k.Name)
		page, bytes = append(page, c), bytes+len(c.Value)+len(c.Key)+64
		return err
	})
	l.cellSize.note(len(page), bytes)
	return page, len(page) < size, err
}
