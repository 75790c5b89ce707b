package eventlog

import (
	"encoding/binary"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// commit is what one transaction puts into one shard, as it is stored. The
// layout is in docs/format.md.
type commit struct {
	id     ID
	time   int64  // nanoseconds since 1970
	meta   Meta   // of the events; of a commit without any its own
	metas  []Meta // the further ones, when the events do not share one
	events []event
	onces  []once
	tables []string // whose set of keys changed

	relaxed []relaxed // the appends that it folds; all its events are theirs, in this order
}

type event struct {
	stream  string
	version uint64
	index   uint16 // among the events of the transaction, or of the relaxed append
	meta    uint16 // among the metas of the commit
	span    uint32 // the place of its stream among those of the commit; see streams
	part    uint16 // the relaxed append that it belongs to, from 1; 0: none
	typ     string
	codec   string
	tags    []string
	data    []byte
}

// encode returns the stored form of c at its place.
func (c *commit) encode(shard int, rev driver.Revision) []byte {
	c.streams(nil)
	return c.append(make([]byte, 0, c.size()), shard, rev)
}

// append appends the stored form of c, whose events know the places of their
// streams, at its place to b.
func (c *commit) append(b []byte, shard int, rev driver.Revision) []byte {
	at := len(b)
	b = append(b, make([]byte, seal.Size)...)
	b = append(b, c.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.time))
	metas := len(b)
	b = c.meta.append(b, len(c.metas) > 0)
	for i := range c.metas {
		b = c.metas[i].append(b, i < len(c.metas)-1)
	}
	if len(c.relaxed) > 0 {
		b[metas] |= hasRelaxed
		b = c.appendRelaxed(b)
	}
	b = c.appendEvents(b)
	b = binary.AppendUvarint(b, uint64(len(c.onces)))
	for _, o := range c.onces {
		b = appendString(appendString(b, o.stream), o.id)
		b = binary.LittleEndian.AppendUint64(b, o.hash)
	}
	b = appendStrings(b, c.tables)
	seal.Put(b[at:], shard, uint64(rev))
	return b
}

// appendEvents writes streams once each with the version before their first
// event here; an event's version follows from its place.
func (c *commit) appendEvents(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.spans()))
	next := uint32(0)
	for i := range c.events {
		if e := &c.events[i]; e.span == next {
			b = binary.AppendUvarint(appendString(b, e.stream), e.version-1)
			next++
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.events)))
	for i := range c.events {
		e := &c.events[i]
		b = binary.AppendUvarint(b, uint64(e.span))
		if len(c.metas) > 0 {
			b = binary.AppendUvarint(b, uint64(e.meta))
		}
		b = binary.AppendUvarint(b, uint64(e.index))
		b = appendString(appendString(b, e.typ), e.codec)
		b = appendStrings(b, e.tags)
		b = binary.AppendUvarint(b, uint64(len(e.data)))
		b = append(b, e.data...)
	}
	return b
}

// size bounds the length of the encoded commit from above.
func (c *commit) size() int {
	n := seal.Size + 16 + 8 + c.meta.size() + 3*binary.MaxVarintLen32
	for i := range c.metas {
		n += c.metas[i].size()
	}
	for i := range c.events {
		n += c.events[i].size()
	}
	if len(c.metas) > 0 {
		n += len(c.events) * metaIndexSize
	}
	for _, o := range c.onces {
		n += len(o.stream) + len(o.id) + 14
	}
	for _, t := range c.tables {
		n += len(t) + 3
	}
	if len(c.relaxed) > 0 {
		n += binary.MaxVarintLen32 + len(c.relaxed)*relaxedMaxSize
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

// record returns an event of c as it is read.
func (c *commit) record(l *Log, shard int, rev driver.Revision, e *event) Record {
	r := Record{
		ID: c.id.event(int(e.index)), Stream: e.stream, Version: e.version, Shard: shard, Revision: rev, Index: int(e.index),
		Time: time.Unix(0, c.time).UTC(), Type: e.typ, Codec: e.codec, Data: e.data, Tags: e.tags, Meta: *c.metaAt(int(e.meta)), log: l,
	}
	if e.part > 0 {
		a := &c.relaxed[e.part-1]
		r.ID, r.Relaxed = a.id.event(int(e.index)), a.public()
		if rev > 0 {
			r.fold = &folded{c.id, a.cell}
		}
	}
	return r
}
