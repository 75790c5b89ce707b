package pebblelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// The engine takes the first damaged record of its write-ahead log, or of its
// manifest, for the end that a crash has torn. It looks for signs that records
// behind it were synced, but misses many: all in the same block of 32 KiB, and
// more after large records. What is lost so are acknowledged writes, silently.
//
// Here every record is synced before the next one is written. So a sound record
// behind a damaged one, or the trailer of a log that was closed, proves that the
// damage is no torn end. checkFile looks for it, before the engine opens the
// file. What remains is the very last record of a file without a trailer.

// The format of log and manifest files: blocks of 32 KiB with chunks, a record is
// one or more. A chunk has a checksum (4 bytes), its length (2), its type (1), in
// a log the low bytes of its number (4) and maybe a synced offset (8), and data.
const (
	chunkBlock   = 32 << 10
	headerPlain  = 7
	headerLog    = headerPlain + 4
	headerSynced = headerLog + 8
)

// A batch that is too large for a memtable is synced together with the trailer.
// So the trailer proves nothing about damage further away than any smaller
// record's end: see minMemTableSize.
const trailerReach = 64 << 10

var noChunks [chunkBlock]byte // prepared for what never came

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A chunkFile is a log, or a manifest, as it is read block by block.
type chunkFile struct {
	name    string
	log     bool
	number  uint32 // of a log
	damaged int64  // where the first damaged chunk is, -1 while there is none
}

// check returns an error that wraps ErrCorrupt when the file holds a damaged
// record that was once whole.
func (f *chunkFile) check(fsys vfs.FS) error {
	r, err := fsys.Open(f.name, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer r.Close()
	f.damaged = -1
	block := make([]byte, chunkBlock)
	for base := int64(0); ; base += chunkBlock {
		n, err := io.ReadFull(r, block)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		whole, end := f.checkBlock(base, block[:n])
		if whole {
			return fmt.Errorf("%w: %s is damaged at byte %d", driver.ErrCorrupt, f.name, f.damaged)
		}
		if end || n < chunkBlock {
			return nil
		}
	}
}

// checkBlock walks the chunks of the block at base. It reports whether one proves
// that what is damaged before it was whole, and whether the file ends here.
func (f *chunkFile) checkBlock(base int64, b []byte) (whole, end bool) {
	if f.damaged >= 0 && bytes.Equal(b, noChunks[:len(b)]) {
		return false, false
	}
	for i := 0; i+headerPlain <= len(b); {
		n, start := f.chunk(b[i:])
		trailer := n == 0 && f.trailer(b[i:])
		switch {
		case start && f.damaged >= 0:
			return true, false
		case trailer:
			return f.damaged >= 0 && base+int64(i)-f.damaged < trailerReach, true
		case n > 0:
			i += n
		case f.padding(b[i:]):
			return false, false
		default:
			if f.damaged < 0 {
				f.damaged = base + int64(i)
			}
			i++ // a length that is damaged leads nowhere
		}
	}
	return false, false
}

// chunk returns the length of the sound chunk at the start of b, 0 if there is
// none, and whether a record starts with it.
func (f *chunkFile) chunk(b []byte) (n int, start bool) {
	kind := int(b[6]) - 1 // plain, log, log with synced offset: full, first, middle, last of each
	if kind < 0 || kind >= 12 || f.log != (kind >= 4) {
		return 0, false
	}
	header := [...]int{headerPlain, headerLog, headerSynced}[kind/4]
	n = header + int(binary.LittleEndian.Uint16(b[4:]))
	if n > len(b) {
		return 0, false
	}
	if f.log && binary.LittleEndian.Uint32(b[headerPlain:]) != f.number {
		return 0, false
	}
	sum := crc32.Checksum(b[6:n], castagnoli)
	if binary.LittleEndian.Uint32(b) != (sum>>15|sum<<17)+0xa282ead8 {
		return 0, false
	}
	return n, kind%4 < 2
}

// trailer reports whether b starts with what the engine writes when it closes a
// log: an empty chunk of the next log, without a checksum.
func (f *chunkFile) trailer(b []byte) bool {
	return b[6] == 5 && f.log && len(b) >= headerLog &&
		binary.LittleEndian.Uint32(b) == 0 && binary.LittleEndian.Uint16(b[4:]) == 0 &&
		binary.LittleEndian.Uint32(b[headerPlain:]) == f.number+1
}

// padding reports whether b is the rest of a block that is too short for a chunk
// of a log. (That of a manifest is too short to be looked at.)
func (f *chunkFile) padding(b []byte) bool {
	if len(b) >= headerSynced {
		return false
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// checkFiles checks the logs and the manifest of a directory.
func checkFiles(fsys vfs.FS, dir, manifest string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f := chunkFile{name: fsys.PathJoin(dir, name), log: isLog(name)}
		if f.log {
			number, err := strconv.ParseUint(strings.TrimSuffix(name, logSuffix), 10, 64)
			if err != nil {
				continue // not the engine's
			}
			f.number = uint32(number)
		} else if f.name != manifest {
			continue
		}
		if err := f.check(fsys); err != nil {
			return err
		}
	}
	return nil
}
