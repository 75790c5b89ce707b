package datastorelog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A rawCell is the entity of a cell. version 0: it was not there.
type rawCell struct {
	key     string // of the cell, as it is stored
	value   []byte
	version int64
	problem error
}

// The properties of a cell.
const (
	propKey     = "key"     // indexed: the stored name
	propValue   = "value"   // not indexed
	propVersion = "version" // not indexed
)

func newRawCell(c driver.Cell) *rawCell {
	r := &rawCell{key: string(appendName(nil, c.Key)), value: c.Value, version: int64(c.Version)}
	if r.value == nil {
		r.value = []byte{}
	}
	return r
}

// Save implements datastore.PropertyLoadSaver.
func (c *rawCell) Save() ([]datastore.Property, error) {
	return []datastore.Property{
		{Name: propKey, Value: c.key},
		{Name: propValue, Value: c.value, NoIndex: true},
		{Name: propVersion, Value: c.version, NoIndex: true},
	}, nil
}

// Load implements datastore.PropertyLoadSaver.
func (c *rawCell) Load(props []datastore.Property) error {
	*c = rawCell{value: []byte{}}
	for _, p := range props {
		ok := true
		switch p.Name {
		case propKey:
			c.key, ok = p.Value.(string)
		case propValue:
			c.value, ok = p.Value.([]byte)
		case propVersion:
			c.version, ok = p.Value.(int64)
		}
		if !ok {
			c.problem = fmt.Errorf("property %s is a %T", p.Name, p.Value)
		}
	}
	if c.problem == nil && (c.version == 0 || c.key == "") {
		c.problem = errors.New("a property is missing")
	}
	return nil
}

func (c *rawCell) cell() (driver.Cell, error) {
	key, err := parseName(c.key)
	if err == nil {
		err = c.problem
	}
	if err != nil {
		return driver.Cell{}, fmt.Errorf("%w: cell %.60q: %w", driver.ErrCorrupt, c.key, err)
	}
	return driver.Cell{Key: key, Value: c.value, Version: uint64(c.version)}, nil
}

var _ datastore.PropertyLoadSaver = (*rawCell)(nil)

// Cells yields the cells with from ≤ key < to, in bytewise order.
func (l *Log) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return func(yield func(driver.Cell, error) bool) {
		s := cells(from, to)
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
				s.from = string(appendName(nil, page[n-1].Key+"\x00"))
				limit -= n
			}
			return page, !end && limit != 0, err
		})
	}
}

// cellPage reads the first cells of a span, at most size. end says that there
// are no more.
func (l *Log) cellPage(ctx context.Context, s span, size int) (page []driver.Cell, end bool, err error) {
	q := datastore.NewQuery(l.kinds.cell).Namespace(l.opts.Namespace).Order(propKey).
		FilterField(propKey, ">=", s.from).FilterField(propKey, "<", s.to)
	bytes := 0
	size, err = l.results(ctx, q, size, func() datastore.PropertyLoadSaver { return new(rawCell) }, func(_ *datastore.Key, e datastore.PropertyLoadSaver) error {
		c, err := e.(*rawCell).cell()
		page, bytes = append(page, c), bytes+len(c.Value)+len(c.Key)+64
		return err
	})
	l.cellSize.note(len(page), bytes)
	return page, len(page) < size, err
}
