// Package seal is the head of a stored commit, by which it belongs to its place: of
// interest to eventlog, which writes commits, and to a store that moves them. The
// layout is in docs/format.md.
package seal

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	// Format is the first byte of every commit.
	Format = 1
	// Size is the length of the head: the format and the checksum.
	Size = 1 + 4

	timeAt = Size + 16 // behind the id

	// Least is the length of a commit up to behind its time.
	Least = timeAt + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of the shard (4 bytes), the revision (8) and the body:
// so a commit that stands elsewhere is found. The place is summed here, byte by
// byte, because what is handed to crc32 would have to be allocated.
func checksum(shard int, rev uint64, body []byte) uint32 {
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

// Put seals data, which has room for its head, to a place.
func Put(data []byte, shard int, rev uint64) {
	data[0] = Format
	binary.LittleEndian.PutUint32(data[1:], checksum(shard, rev, data[Size:]))
}

// Holds reports whether data is sealed to a place. It says nothing of the format.
func Holds(data []byte, shard int, rev uint64) bool {
	return len(data) >= Size && binary.LittleEndian.Uint32(data[1:]) == checksum(shard, rev, data[Size:])
}

// movable reports whether data is sealed to a place and has this time.
func movable(data []byte, shard int, rev uint64, time int64) bool {
	return len(data) >= Least && data[0] == Format && Time(data) == time && Holds(data, shard, rev)
}

// Set seals data, which has room for its head and time, to a place, with a time.
func Set(data []byte, shard int, rev uint64, time int64) {
	binary.LittleEndian.PutUint64(data[timeAt:], uint64(time))
	Put(data, shard, rev)
}

// Time returns the time of a commit that is long enough to have one.
func Time(data []byte) int64 { return int64(binary.LittleEndian.Uint64(data[timeAt:])) }
