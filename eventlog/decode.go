package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// decodeCommit reads what encode wrote at this place. The events' data and the
// strings alias data. Every error is a *driver.CorruptError or ErrFormat.
func decodeCommit(shard int, rev driver.Revision, data []byte) (*commit, error) {
	corrupt := func(why string) error {
		return &driver.CorruptError{Shard: shard, Revision: rev, Reason: why}
	}
	if len(data) < headerSize {
		return nil, corrupt(fmt.Sprintf("%d bytes", len(data)))
	}
	if binary.LittleEndian.Uint32(data[1:]) != checksum(shard, rev, data[headerSize:]) {
		return nil, corrupt("checksum mismatch")
	}
	if data[0] != commitFormat {
		return nil, fmt.Errorf("%w: shard %d revision %d has commit format %d, this program knows %d",
			ErrFormat, shard, rev, data[0], commitFormat)
	}
	c := new(commit)
	if err := c.decode(decoder{data[headerSize:], nil}); err != nil {
		return nil, corrupt(err.Error())
	}
	return c, nil
}

func (c *commit) decode(d decoder) error {
	copy(c.id[:], d.bytes(16))
	c.time = int64(d.fixed64())
	c.decodeMetas(&d)
	spans := make([]streamSpan, 0, 4)
	for range d.count(2) {
		s := streamSpan{name: d.string()}
		s.last = d.uvarint()
		spans = append(spans, s)
	}
	if n := d.count(6); n > 0 {
		c.events = make([]event, n)
	}
	for i := range c.events {
		if err := c.events[i].decode(&d, spans, len(c.metas) > 0); err != nil {
			return err
		}
	}
	if err := c.checkMetas(); err != nil && d.err == nil {
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
