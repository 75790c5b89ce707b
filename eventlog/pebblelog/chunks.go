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
// behind a damaged one proves that the damage is no torn end. check looks for it,
// before the engine opens the file. What remains is the last record of a file;
// the tails file covers it for all but the time since the last flush.

// The format of log and manifest files: blocks of 32 KiB with chunks, a record is
// one or more. A chunk has a checksum (4 bytes), its length (2), its type (1), in
// a log the low bytes of its number (4) and maybe a synced offset (8), and data.
const (
	chunkBlock   = 32 << 10
	headerPlain  = 7
	headerLog    = headerPlain + 4
	headerSynced = headerLog + 8
)

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
	whole, err := f.scan(fsys)
	if err != nil {
		return err
	}
	if whole {
		return fmt.Errorf("%w: %s is damaged at byte %d", driver.ErrCorrupt, f.name, f.damaged)
	}
	return nil
}

// scan finds the first damaged chunk and reports whether it was once whole.
func (f *chunkFile) scan(fsys vfs.FS) (whole bool, err error) {
	r, err := fsys.Open(f.name, vfs.SequentialReadsOption)
	if err != nil {
		return false, err
	}
	defer r.Close()
	f.damaged = -1
	block := make([]byte, chunkBlock)
	for base := int64(0); ; base += chunkBlock {
		n, err := io.ReadFull(r, block)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("%s: %w", f.name, err)
		}
		whole, end := f.checkBlock(base, block[:n])
		if whole || end || n < chunkBlock {
			return whole, nil
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
		switch {
		case start && f.damaged >= 0:
			return true, false
		case n > 0:
			i += n
		case f.trailer(b[i:]):
			return false, true
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
	logs, err := logFiles(fsys, dir)
	if err != nil {
		return err
	}
	for _, f := range append(logs, chunkFile{name: manifest}) {
		if err := f.check(fsys); err != nil {
			return err
		}
	}
	return nil
}

// trimLogs cuts the logs of a backup before the first chunk that is not sound. A
// log is copied while it is written to: of two blocks the second may be newer than
// the first, with records behind others that were not there yet.
func trimLogs(fsys vfs.FS, dir string) error {
	logs, err := logFiles(fsys, dir)
	if err != nil {
		return err
	}
	for _, f := range logs {
		if _, err := f.scan(fsys); err != nil {
			return err
		}
		if f.damaged < 0 {
			continue
		}
		if err := f.trim(fsys); err != nil {
			return err
		}
	}
	return nil
}

func (f *chunkFile) trim(fsys vfs.FS) error {
	tmp := f.name + tmpSuffix
	if err := copyFile(fsys, f.name, tmp, f.damaged); err != nil {
		return err
	}
	return fsys.Rename(tmp, f.name)
}

// logFiles lists the logs of a directory.
func logFiles(fsys vfs.FS, dir string) (logs []chunkFile, err error) {
	names, err := fsys.List(dir)
	for _, name := range names {
		if !isLog(name) {
			continue
		}
		if number, err := strconv.ParseUint(strings.TrimSuffix(name, logSuffix), 10, 64); err == nil {
			logs = append(logs, chunkFile{name: fsys.PathJoin(dir, name), log: true, number: uint32(number)})
		}
	}
	return logs, err
}
