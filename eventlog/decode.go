package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// decodeCommit reads what encode wrote at this place. The events' data and the
// strings alias data. Every error is a *driver.CorruptError or ErrFormat.
func decodeCommit(shard int, rev driver.Revision, data []byte) (*commit, error) {
	return decodeOnly(shard, rev, data, "")
}

// decodeOnly is decodeCommit for who wants the events of one stream only, "" for
// all: steps of many streams share commits.
func decodeOnly(shard int, rev driver.Revision, data []byte, only string) (*commit, error) {
	if err := checkStored(shard, rev, data); err != nil {
		return nil, err
	}
	c := new(commit)
	if err := c.decode(decoder{data[seal.Size:], nil}, only); err != nil {
		return nil, &driver.CorruptError{Shard: shard, Revision: rev, Reason: err.Error()}
	}
	return c, nil
}

// checkStored checks that data is a commit that was written to this place.
func checkStored(shard int, rev driver.Revision, data []byte) error {
	switch {
	case len(data) < seal.Size:
		return &driver.CorruptError{Shard: shard, Revision: rev, Reason: fmt.Sprintf("%d bytes", len(data))}
	case !seal.Holds(data, shard, uint64(rev)):
		return &driver.CorruptError{Shard: shard, Revision: rev, Reason: "checksum mismatch"}
	case data[0] != seal.Format:
		return fmt.Errorf("%w: shard %d revision %d has commit format %d, this program knows %d",
			ErrFormat, shard, rev, data[0], seal.Format)
	}
	return nil
}

func (c *commit) decode(d decoder, only string) error {
	copy(c.id[:], d.bytes(16))
	c.time = int64(d.fixed64())
	c.decodeMetas(&d)
	n := d.count(2)
	spans := make([]streamSpan, n)
	for i := range spans {
		spans[i].name, spans[i].last = d.string(), d.uvarint()
	}
	var err error
	if only == "" {
		err = c.decodeEvents(&d, spans)
	} else {
		err = c.pickEvents(&d, spans, only)
	}
	if err != nil {
		return err
	}
	for range d.count(10) {
		c.onces = append(c.onces, once{d.string(), d.string(), d.fixed64()})
	}
	c.tables = d.strings()
	if d.err == nil && len(d.b) > 0 {
		return fmt.Errorf("%d bytes too many", len(d.b))
	}
	return d.err
}

func (c *commit) decodeEvents(d *decoder, spans []streamSpan) error {
	if n := d.count(6); n > 0 {
		c.events = make([]event, n)
	}
	parts := partCounter{list: c.relaxed}
	for i := range c.events {
		if err := c.events[i].decode(d, spans, len(c.metas) > 0); err != nil {
			return err
		}
		c.events[i].part = parts.next()
	}
	if err := parts.over(); err != nil && d.err == nil {
		return err
	}
	if err := c.checkMetas(); err != nil && d.err == nil {
		return err
	}
	return nil
}

// pickEvents reads the events of one stream and passes over the others.
func (c *commit) pickEvents(d *decoder, spans []streamSpan, only string) error {
	wanted := slices.IndexFunc(spans, func(s streamSpan) bool { return s.name == only })
	parts := partCounter{list: c.relaxed}
	for range d.count(6) {
		part := parts.next()
		if at, n := binary.Uvarint(d.b); n > 0 && at == uint64(wanted) {
			c.events = append(c.events, event{})
			e := &c.events[len(c.events)-1]
			if err := e.decode(d, spans, len(c.metas) > 0); err != nil {
				return err
			}
			e.part = part
			continue
		}
		d.uvarint() // the stream
		if len(c.metas) > 0 {
			d.uvarint()
		}
		d.uvarint()            // the index
		d.bytes(d.count(1))    // the type
		d.bytes(d.count(1))    // the codec
		for range d.count(1) { // the tags
			d.bytes(d.count(1))
		}
		d.bytes(d.count(1)) // the data
	}
	return nil
}

func (e *event) decode(d *decoder, spans []streamSpan, mixed bool) error {
	at := d.uvarint()
	if at >= uint64(len(spans)) {
		return errors.New("event of no stream")
	}
	spans[at].last++
	e.stream, e.version, e.span = spans[at].name, spans[at].last, uint32(at)
	if mixed {
		meta := d.uvarint()
		if meta > math.MaxUint16 {
			return fmt.Errorf("event with metadata %d", meta)
		}
		e.meta = uint16(meta)
	}
	index := d.uvarint()
	if index > math.MaxUint16 {
		return fmt.Errorf("event index %d", index)
	}
	e.index = uint16(index)
	e.typ, e.codec = d.string(), d.string()
	e.tags = d.strings()
	e.data = d.bytes(d.count(1))
	return d.err
}
