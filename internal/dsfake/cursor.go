package dsfake

import (
	"encoding/binary"
	"hash/fnv"
)

// cursor is the place behind a result: what it belongs to, then its place.
func (pl *plan) cursor(e *entry) []byte {
	b := binary.BigEndian.AppendUint32(nil, pl.hash())
	b = binary.AppendUvarint(b, uint64(len(e.encoded)))
	b = append(b, e.encoded...)
	return append(b, e.node.key.path...)
}

// position is the place of a cursor of this query.
func (pl *plan) position(cursor []byte) (position, error) {
	if len(cursor) < 5 {
		return position{}, invalid("Error parsing protocol message")
	}
	n, size := binary.Uvarint(cursor[4:])
	rest := cursor[4+max(size, 0):]
	switch {
	case size <= 0 || n > uint64(len(rest)):
		return position{}, invalid("Error parsing protocol message")
	case binary.BigEndian.Uint32(cursor) != pl.hash():
		return position{}, invalid("cursor does not match query")
	}
	return position{string(rest[:n]), string(rest[n:])}, nil
}

// hash tells queries with different orders apart.
func (pl *plan) hash() uint32 {
	h := fnv.New32a()
	for _, s := range []string{pl.namespace, pl.index.kind, pl.index.property} {
		h.Write(appendString(nil, s))
	}
	if pl.descending {
		h.Write([]byte{1})
	}
	return h.Sum32()
}
