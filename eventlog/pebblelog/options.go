package pebblelog

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Compression chooses how stored blocks are compressed. It can be changed at any
// open; blocks already written are read as they are.
type Compression int

const (
	// Balanced compresses the two largest levels, most of the data, with zstd and
	// the others with the fastest algorithm. It is the default.
	Balanced Compression = iota
	// Fastest compresses all levels with the fastest algorithm of the platform.
	Fastest
	// None stores blocks as they are.
	None
)

func (c Compression) String() string {
	switch c {
	case Balanced:
		return "balanced"
	case Fastest:
		return "fastest"
	case None:
		return "none"
	}
	return fmt.Sprintf("Compression(%d)", int(c))
}

func (c Compression) settings() pebble.DBCompressionSettings {
	switch c {
	case Fastest:
		return pebble.DBCompressionFastest
	case None:
		return pebble.DBCompressionNone
	}
	return pebble.DBCompressionBalanced
}

// Options change how a directory is opened. The zero value is a good default.
type Options struct {
	// CacheSize is the memory in bytes for blocks read from disk. Default 128 MiB.
	CacheSize int64

	// MemTableSize is the memory in bytes that gathers new rows before they are
	// sorted into a file. Under load two are in use, and up to four while the disk
	// is slow. Default 32 MiB, at least 1 MiB; 64 MiB was no faster.
	MemTableSize int

	// Compression of stored blocks. Default Balanced.
	Compression Compression

	// Reserve is the free space in bytes of the file system below which writes are
	// refused with driver.ErrDiskFull. It must cover what the engine still writes
	// after the last accepted write: the memtables not yet in files. Default: two
	// memtables, 64 MiB. Negative: no reserve.
	Reserve int64

	// MustExist makes Open fail with an error that wraps fs.ErrNotExist where there
	// is no log yet, instead of creating one.
	MustExist bool

	// ReadOnly opens an existing log without changing its files. Writes are
	// refused. The directory is still held while it is open.
	ReadOnly bool

	// Sharing tells those who find the directory held that they can reach it through
	// this process, as package remotelog does: HeldError.Sharing.
	Sharing bool

	// Logger gets the engine's rare messages: flushes and compactions at Debug,
	// background errors at Error. Nil is silent.
	Logger *slog.Logger

	// FS is the file system. Default: the operating system's.
	FS vfs.FS

	// noSync acknowledges writes without a sync. It exists to show that the power
	// cut test finds a missing sync.
	noSync bool
}

const (
	defaultMemTableSize = 32 << 20
	minMemTableSize     = 1 << 20
	defaultCacheSize    = 128 << 20
)

func (o *Options) withDefaults() (*Options, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.CacheSize < 0 || c.MemTableSize < 0 {
		return nil, fmt.Errorf("negative cache or memtable size: %d, %d", c.CacheSize, c.MemTableSize)
	}
	if c.Compression < Balanced || c.Compression > None {
		return nil, fmt.Errorf("unknown compression %d", int(c.Compression))
	}
	if c.MemTableSize == 0 {
		c.MemTableSize = defaultMemTableSize
	}
	c.MemTableSize = max(c.MemTableSize, minMemTableSize)
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	if c.Reserve == 0 {
		c.Reserve = 2 * int64(c.MemTableSize)
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	c.MustExist = c.MustExist || c.ReadOnly
	return &c, nil
}
