package pebblelog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// The first byte of a row's key says what the row is. Commits sort last: see
// appendCommitKey.
const (
	kindCell   = 'c' // c | name → version, uvarint | value
	kindIndex  = 'k' // k | shard, 4 bytes | name | 0x00 | position, 8 bytes → revision
	kindCommit = 'r' // r | segment, 8 bytes | shard, 4 bytes | place, 2 bytes → Commit.Data
)

// terminator ends a name in a key. It is in no name and lower than every byte
// of one, so names sort bytewise.
const terminator = 0x00

const maxShard = math.MaxUint32

func appendShard(b []byte, kind byte, shard int) []byte {
	return binary.BigEndian.AppendUint32(append(b, kind), uint32(shard))
}

// A shard is stored in segments of so many revisions each.
const segmentLen = 1 << 12

func segmentOf(rev driver.Revision) uint64 { return uint64(rev) / segmentLen }

// appendCommitKey puts the segment before the shard. What is new in all shards so
// lies behind what is old, and the engine, which merges what overlaps, writes a
// commit once more when its table leaves level 0 and then mostly moves the table:
// with the shard first, each was written again and again while its shard's
// neighbours grew, and that took a third of the processor's time. It holds as far
// as the shards grow evenly, as hashed names do.
func appendCommitKey(b []byte, shard int, rev driver.Revision) []byte {
	b = appendSegment(b, segmentOf(rev), shard)
	return binary.BigEndian.AppendUint16(b, uint16(rev%segmentLen))
}

func appendSegment(b []byte, segment uint64, shard int) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kindCommit), segment)
	return binary.BigEndian.AppendUint32(b, uint32(shard))
}

func appendIndexName(b []byte, shard int, name string) []byte {
	return append(append(appendShard(b, kindIndex, shard), name...), terminator)
}

func appendIndexKey(b []byte, shard int, name string, pos uint64) []byte {
	return binary.BigEndian.AppendUint64(appendIndexName(b, shard, name), pos)
}

func appendCellKey(b []byte, name string) []byte {
	return append(append(b, kindCell), name...)
}

const (
	shardLen   = 1 + 4
	segmentKey = 1 + 8 + 4
	commitLen  = segmentKey + 2
)

func indexKeyLen(name string) int { return shardLen + len(name) + 1 + 8 }

func parseCommitKey(key []byte) (shard int, rev driver.Revision, err error) {
	if len(key) != commitLen || key[0] != kindCommit {
		return 0, 0, fmt.Errorf("%w: commit key %x", driver.ErrCorrupt, key)
	}
	segment, place := binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint16(key[segmentKey:])
	return int(binary.BigEndian.Uint32(key[1+8:])), driver.Revision(segment*segmentLen + uint64(place)), nil
}

// parseIndexKey returns the name within key, not a copy.
func parseIndexKey(key []byte) (name []byte, pos uint64, err error) {
	n := len(key) - 8
	if n <= shardLen || key[0] != kindIndex || key[n-1] != terminator {
		return nil, 0, fmt.Errorf("%w: index key %x", driver.ErrCorrupt, key)
	}
	return key[shardLen : n-1], binary.BigEndian.Uint64(key[n:]), nil
}

// An index row's value is the revision as a uvarint, or empty when it equals
// the position, as it does for every key but a stream's.
func appendIndexValue(b []byte, pos uint64, rev driver.Revision) []byte {
	if pos == uint64(rev) {
		return b
	}
	return binary.AppendUvarint(b, uint64(rev))
}

func parseIndexValue(key []byte, pos uint64, value []byte) (driver.Revision, error) {
	if len(value) == 0 {
		return driver.Revision(pos), nil
	}
	rev, n := binary.Uvarint(value)
	if n != len(value) || rev == 0 {
		return 0, fmt.Errorf("%w: index row %x has value %x", driver.ErrCorrupt, key, value)
	}
	return driver.Revision(rev), nil
}

// A cell's value is its version as a uvarint and then what the writer gave.
func appendCellVersion(b []byte, version uint64) []byte {
	return binary.AppendUvarint(b, version)
}

func parseCellValue(key, value []byte) (version uint64, rest []byte, err error) {
	version, n := binary.Uvarint(value)
	if n <= 0 || version == 0 {
		return 0, nil, fmt.Errorf("%w: cell %q has no version", driver.ErrCorrupt, key[1:])
	}
	return version, value[n:], nil
}

// split returns the length of the part of a key that point look-ups share: the
// whole key, without the position of an index row. Bloom filters hold it.
func split(key []byte) int {
	if len(key) > shardLen && key[0] == kindIndex {
		if i := bytes.IndexByte(key[shardLen:], terminator); i >= 0 {
			return shardLen + i + 1
		}
	}
	return len(key)
}

// successor returns the lowest key above all keys that start with b, which must
// hold a byte below 0xff (the kind is one).
func successor(b []byte) []byte {
	n := len(b)
	for b[n-1] == 0xff {
		n--
	}
	c := bytes.Clone(b[:n])
	c[n-1]++
	return c
}
