package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// commit is what one transaction puts into one shard, as it is stored. The
// layout is in docs/format.md.
type commit struct {
	id     ID
	time   int64 // nanoseconds since 1970
	meta   Meta
	events []event
	onces  []once
	tables []string // whose set of keys changed

	spans []streamSpan // the streams of events; kept while the commit is pending
}

type event struct {
	stream  string
	version uint64
	index   int
	typ     string
	codec   string
	tags    []string
	data    []byte
}

// once records an idempotency id. hash is that of the content it came with; 0:
// not known.
type once struct {
	stream, id string
	hash       uint64
}

const (
	commitFormat = 1
	headerSize   = 1 + 4 // format, checksum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of the shard (4 bytes), the revision (8) and the body:
// so a commit that stands elsewhere is found. The place is summed here, byte by
// byte, because what is handed to crc32 would have to be allocated.
func checksum(shard int, rev driver.Revision, body []byte) uint32 {
	crc := ^uint32(0)
	for range 4 {
		crc = castagnoli[byte(crc)^byte(shard)] ^ crc>>8
		shard >>= 8
	}
	for range 8 {
		crc = castagnoli[byte(crc)^byte(rev)] ^ crc>>8
		rev >>= 8
	}
	return crc32.Update(^crc, castagnoli, body)
}

// encode returns the stored form of c at its place.
func (c *commit) encode(shard int, rev driver.Revision) []byte {
	return c.append(make([]byte, 0, c.size()), shard, rev)
}

// append appends the stored form of c at its place to b.
func (c *commit) append(b []byte, shard int, rev driver.Revision) []byte {
	at := len(b)
	b = append(b, commitFormat, 0, 0, 0, 0)
	b = append(b, c.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.time))
	b = c.meta.append(b)
	b = c.appendEvents(b)
	b = binary.AppendUvarint(b, uint64(len(c.onces)))
	for _, o := range c.onces {
		b = appendString(appendString(b, o.stream), o.id)
		b = binary.LittleEndian.AppendUint64(b, o.hash)
	}
	b = appendStrings(b, c.tables)
	binary.LittleEndian.PutUint32(b[at+1:], checksum(shard, rev, b[at+headerSize:]))
	return b
}

// appendEvents writes streams once each with the version before their first
// event here; an event's version follows from its place.
func (c *commit) appendEvents(b []byte) []byte {
	streams := c.streams(nil)
	b = binary.AppendUvarint(b, uint64(len(streams)))
	for _, s := range streams {
		b = binary.AppendUvarint(appendString(b, s.name), s.first-1)
	}
	b = binary.AppendUvarint(b, uint64(len(c.events)))
	at := 0
	for i := range c.events {
		e := &c.events[i]
		if streams[at].name != e.stream {
			at = slices.IndexFunc(streams, func(s streamSpan) bool { return s.name == e.stream })
		}
		b = binary.AppendUvarint(b, uint64(at))
		b = binary.AppendUvarint(b, uint64(e.index))
		b = appendString(appendString(b, e.typ), e.codec)
		b = appendStrings(b, e.tags)
		b = binary.AppendUvarint(b, uint64(len(e.data)))
		b = append(b, e.data...)
	}
	return b
}

// streamSpan is the versions that a commit gives to a stream.
type streamSpan struct {
	name        string
	first, last uint64
}

// streams returns the streams of c in the order of their first events. It uses
// the memory of spans, if that is enough.
func (c *commit) streams(spans []streamSpan) []streamSpan {
	if c.spans != nil {
		return c.spans
	}
	var at map[string]int // only when there are many
	for i := range c.events {
		e := &c.events[i]
		if n := len(spans); n > 0 && spans[n-1].name == e.stream {
			spans[n-1].last++
			continue
		}
		j, ok := -1, false
		if len(spans) > 16 {
			if at == nil {
				at = make(map[string]int)
				for k, s := range spans {
					at[s.name] = k
				}
			}
			j, ok = at[e.stream]
		} else {
			j = slices.IndexFunc(spans, func(s streamSpan) bool { return s.name == e.stream })
			ok = j >= 0
		}
		if ok {
			spans[j].last++
			continue
		}
		if at != nil {
			at[e.stream] = len(spans)
		}
		spans = append(spans, streamSpan{e.stream, e.version, e.version})
	}
	return spans
}

// number gives the events the versions that the spans promise.
func (c *commit) number() {
	if len(c.spans) == 1 {
		for i := range c.events {
			c.events[i].version = c.spans[0].first + uint64(i)
		}
		return
	}
	at := make(map[string]uint64, len(c.spans))
	for _, s := range c.spans {
		at[s.name] = s.first
	}
	for i := range c.events {
		e := &c.events[i]
		e.version = at[e.stream]
		at[e.stream]++
	}
}

// size bounds the length of the encoded commit from above.
func (c *commit) size() int {
	n := headerSize + 16 + 8 + c.meta.size() + 3*binary.MaxVarintLen32
	for i := range c.events {
		n += c.events[i].size()
	}
	for _, o := range c.onces {
		n += len(o.stream) + len(o.id) + 14
	}
	for _, t := range c.tables {
		n += len(t) + 3
	}
	return n
}

// size bounds what an event adds to its commit, its stream's name included.
func (e *event) size() int {
	n := len(e.stream) + 3 + 10 + 3 + 3 + len(e.typ) + 3 + len(e.codec) + 3 + 2 + len(e.data) + 5
	for _, t := range e.tags {
		n += len(t) + 3
	}
	return n
}

// metaFields, in the order of their bits.
const (
	hasCorrelation = 1 << iota
	hasCausation
	hasActor
	hasTraceparent
	hasExtra
)

func (m *Meta) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	if !m.Correlation.IsZero() {
		b[at] |= hasCorrelation
		b = append(b, m.Correlation[:]...)
	}
	if !m.Causation.IsZero() {
		b[at] |= hasCausation
		b = append(b, m.Causation[:]...)
	}
	if m.Actor != "" {
		b[at] |= hasActor
		b = appendString(b, m.Actor)
	}
	if m.Traceparent != "" {
		b[at] |= hasTraceparent
		b = appendString(b, m.Traceparent)
	}
	if len(m.Extra) > 0 {
		b[at] |= hasExtra
		b = binary.AppendUvarint(b, uint64(len(m.Extra)))
		for _, k := range slices.Sorted(maps.Keys(m.Extra)) {
			b = appendString(appendString(b, k), m.Extra[k])
		}
	}
	return b
}

func (m *Meta) size() int {
	n := 1
	if !m.Correlation.IsZero() {
		n += 16
	}
	if !m.Causation.IsZero() {
		n += 16
	}
	if m.Actor != "" {
		n += len(m.Actor) + 5
	}
	if m.Traceparent != "" {
		n += len(m.Traceparent) + 5
	}
	if len(m.Extra) > 0 {
		n += 5
	}
	for k, v := range m.Extra {
		n += len(k) + len(v) + 10
	}
	return n
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

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
	c.meta.decode(&d)
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
		if err := c.events[i].decode(&d, spans); err != nil {
			return err
		}
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

func (e *event) decode(d *decoder, spans []streamSpan) error {
	at := d.uvarint()
	if at >= uint64(len(spans)) {
		return errors.New("event of no stream")
	}
	spans[at].last++
	e.stream, e.version = spans[at].name, spans[at].last
	index := d.uvarint()
	if index > math.MaxUint16 {
		return fmt.Errorf("event index %d", index)
	}
	e.index = int(index)
	e.typ, e.codec = d.string(), d.string()
	e.tags = d.strings()
	e.data = d.bytes(d.count(1))
	return d.err
}

func (m *Meta) decode(d *decoder) {
	var has byte
	if b := d.bytes(1); len(b) == 1 {
		has = b[0]
	}
	if has&hasCorrelation != 0 {
		copy(m.Correlation[:], d.bytes(16))
	}
	if has&hasCausation != 0 {
		copy(m.Causation[:], d.bytes(16))
	}
	if has&hasActor != 0 {
		m.Actor = d.string()
	}
	if has&hasTraceparent != 0 {
		m.Traceparent = d.string()
	}
	if has&hasExtra != 0 {
		n := d.count(2)
		m.Extra = make(map[string]string, n)
		for range n {
			k := d.string()
			m.Extra[k] = d.string()
		}
	}
}

// keys returns the index entries of c at revision rev, each name once, at its
// last position. It uses the memory of keys, if that is enough.
func (c *commit) keys(keys []driver.Key, rev driver.Revision, ix Index) []driver.Key {
	spans := c.streams(nil)
	if n := len(spans) + len(c.onces) + len(c.tables); n > cap(keys) {
		keys = make([]driver.Key, 0, n)
	}
	for _, s := range spans {
		keys = append(keys, driver.Key{Name: s.name, Pos: s.last})
	}
	at := len(keys)
	add := func(name string) {
		if len(keys)-at < 32 {
			for _, k := range keys[at:] {
				if k.Name == name {
					return
				}
			}
		}
		keys = append(keys, driver.Key{Name: name, Pos: uint64(rev)})
	}
	for i := range c.events {
		for _, t := range c.events[i].tags {
			add(tagKey(t))
		}
		if ix.Types {
			add(typeKey(c.events[i].typ))
		}
	}
	if !c.meta.Correlation.IsZero() || ix.Correlations {
		add(correlationKey(c.correlation()))
	}
	for _, o := range c.onces {
		add(onceKey(o.stream, o.id))
	}
	for _, t := range c.tables {
		add(tableKey(t))
	}
	return unique(keys, at)
}

// unique drops repeated names behind index at, where add gave up looking.
func unique(keys []driver.Key, at int) []driver.Key {
	if len(keys)-at < 32 {
		return keys
	}
	seen := make(map[string]bool, len(keys)-at)
	return append(keys[:at], slices.DeleteFunc(keys[at:], func(k driver.Key) bool {
		if seen[k.Name] {
			return true
		}
		seen[k.Name] = true
		return false
	})...)
}

// correlation is that of the chain, or of the commit itself when it starts one.
func (c *commit) correlation() ID {
	if c.meta.Correlation.IsZero() {
		return c.id
	}
	return c.meta.Correlation
}

func (c *commit) record(l *Log, shard int, rev driver.Revision, i int) Record {
	e := &c.events[i]
	return Record{
		ID: c.id.event(e.index), Stream: e.stream, Version: e.version, Shard: shard, Revision: rev, Index: e.index,
		Time: time.Unix(0, c.time).UTC(), Type: e.typ, Codec: e.codec, Data: e.data, Tags: e.tags, Meta: c.meta, log: l,
	}
}
