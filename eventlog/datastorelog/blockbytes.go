package datastorelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// blockFormat is the version of the bytes of property commits. Blocks of a higher
// one are refused.
const blockFormat = 1

// flagPart: the one commit of the block has its data in a later one.
const flagPart = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns property commits: format (u8), checksum (u32, of the place, the
// other properties and all that follows), flags (u8), number of commits, and of
// each its keys (number, and of each the index in values and the position) and
// data (length and bytes). Numbers without a width are uvarints.
func (b *block) encode() []byte {
	size := 16
	for _, c := range b.commits {
		size += 2*binary.MaxVarintLen32 + len(c.data) + len(c.keys)*(binary.MaxVarintLen32+binary.MaxVarintLen64)
	}
	out := make([]byte, 5, size)
	out[0] = blockFormat
	flags := byte(0)
	if b.part {
		flags |= flagPart
	}
	out = append(out, flags)
	out = binary.AppendUvarint(out, uint64(len(b.commits)))
	for _, c := range b.commits {
		out = binary.AppendUvarint(out, uint64(len(c.keys)))
		for _, k := range c.keys {
			out = binary.AppendUvarint(out, uint64(k.key))
			out = binary.AppendUvarint(out, k.pos)
		}
		out = binary.AppendUvarint(out, uint64(len(c.data)))
		out = append(out, c.data...)
	}
	binary.LittleEndian.PutUint32(out[1:], b.checksum(out[5:]))
	return out
}

func (b *block) checksum(rest []byte) uint32 {
	head := binary.LittleEndian.AppendUint32(nil, uint32(b.shard))
	for _, n := range []uint64{b.number, uint64(b.first), uint64(b.last)} {
		head = binary.LittleEndian.AppendUint64(head, n)
	}
	head = append(append(head, b.mark.id[:]...), b.mark.call[:]...)
	for _, v := range b.values {
		head = append(binary.AppendUvarint(head, uint64(len(v))), v...)
	}
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, rest)
}

var errShort = errors.New("property commits ends too early")

// decode reads the properties write and commits into b, which has the others.
func (b *block) decode(mark, data []byte) error {
	if len(mark) != 32 {
		return fmt.Errorf("property write has %d bytes", len(mark))
	}
	copy(b.mark.id[:], mark)
	copy(b.mark.call[:], mark[16:])
	switch {
	case len(data) < 6:
		return errShort
	case data[0] != blockFormat:
		return fmt.Errorf("format %d, this program knows %d", data[0], blockFormat)
	case binary.LittleEndian.Uint32(data[1:]) != b.checksum(data[5:]):
		return errors.New("checksum mismatch")
	}
	b.part = data[5]&flagPart != 0
	r := reader{rest: data[6:]}
	n := r.number(len(data))
	b.commits = make([]stored, 0, n)
	for range n {
		c := stored{keys: make([]ref, r.number(len(r.rest)))}
		for i := range c.keys {
			c.keys[i].key = r.number(len(b.values) - 1)
			c.keys[i].pos = r.uvarint()
		}
		c.data = r.bytes()
		b.commits = append(b.commits, c)
	}
	switch {
	case r.err != nil:
		return r.err
	case len(r.rest) > 0:
		return fmt.Errorf("%d bytes behind the last commit", len(r.rest))
	case len(b.values) == 0 || b.values[0] != placeValue(b.shard, b.last, b.number):
		return errors.New("its index does not begin with its place")
	case b.part && n == 1 && b.first == b.last, b.first+driver.Revision(n)-1 == b.last:
		return nil
	}
	return fmt.Errorf("%d commits, revisions %d to %d", n, b.first, b.last)
}

// A reader reads what an encoder wrote; its first error stays.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.err, r.rest = errShort, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// number reads one that is at most limit.
func (r *reader) number(limit int) int {
	v := r.uvarint()
	if r.err == nil && v > uint64(max(0, limit)) {
		r.err, r.rest = fmt.Errorf("number %d, at most %d", v, limit), nil
	}
	if r.err != nil {
		return 0
	}
	return int(v)
}

func (r *reader) bytes() []byte {
	n := r.number(len(r.rest))
	if r.err != nil {
		return nil
	}
	b := bytes.Clone(r.rest[:n:n])
	if b == nil {
		b = []byte{}
	}
	r.rest = r.rest[n:]
	return b
}
