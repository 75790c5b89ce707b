package pebblelog

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engineFormat is the engine's on-disk format. A newer one is a new format of
// ours too: raise formatVersion with it.
const engineFormat = pebble.FormatValueSeparation

// comparer orders keys bytewise and tells the engine which part of a key goes
// into its bloom filters. Its name is stored in every file.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "rollforward.pebblelog.1"
	c.Split = split
	return &c
}()

const (
	blockSize     = 8 << 10 // a point read decompresses one
	bloomBitsAKey = 10      // one look-up in a hundred for what is absent reads a block
	maxMemTables  = 4       // a flush that lags behind for longer stops writes
	l0Compaction  = 8       // half the compactions of 4, and reads no slower
	l0StopWrites  = 1000    // compactions that lag behind slow reads down and stop nothing
	maxOpenFiles  = 1000
)

func (o *Options) engine(fs vfs.FS, logger pebble.Logger) *pebble.Options {
	p := &pebble.Options{
		FS:                          fs,
		Logger:                      logger,
		Comparer:                    comparer,
		CacheSize:                   o.CacheSize + 2*int64(o.MemTableSize), // memtables are reserved out of it
		MemTableSize:                uint64(o.MemTableSize),
		MemTableStopWritesThreshold: maxMemTables,
		L0CompactionThreshold:       l0Compaction,
		L0StopWritesThreshold:       l0StopWrites,
		LBaseMaxBytes:               max(64<<20, int64(o.MemTableSize)),
		FormatMajorVersion:          engineFormat,
		MaxOpenFiles:                maxOpenFiles,
		ReadOnly:                    o.ReadOnly,
	}
	p.Experimental.ReadSamplingMultiplier = -1 // reads cause no compactions
	for i := range p.Levels {
		l := &p.Levels[i]
		l.BlockSize = blockSize
		l.IndexBlockSize = 4 * blockSize
		l.FilterPolicy = bloom.FilterPolicy(bloomBitsAKey)
		l.FilterType = pebble.TableFilter
	}
	p.ApplyCompressionSettings(o.Compression.settings)
	return p
}
