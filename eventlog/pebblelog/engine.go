package pebblelog

import (
	"bytes"
	"runtime"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engineFormat is the engine's on-disk format. A newer one is a new format of
// ours too: raise formatVersion with it.
const engineFormat = pebble.FormatValueSeparation

// comparer orders keys bytewise and tells the engine which part of a key goes
// into its bloom filters. Its name is stored in every file.
func comparer(n *nudge) *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "rollforward.pebblelog.1"
	c.Split = split
	c.Compare = n.compare
	return &c
}

// A nudge lets a sync begin at once. The engine wakes the goroutine that writes
// and syncs its log, and then fills its memtable, all in one go; the sync may so
// wait for as long as half of its own time until that one gets a processor. Here
// the first comparison of keys after the wake-up gives way: 1.08 times the appends
// of 64 appenders on two processors, 1.04 of 1024.
type nudge struct{ due atomic.Bool }

func (n *nudge) compare(a, b []byte) int {
	if n.due.Load() && n.due.CompareAndSwap(true, false) {
		runtime.Gosched()
	}
	return bytes.Compare(a, b)
}

const (
	blockSize     = 8 << 10 // a point read decompresses one
	bloomBitsAKey = 10      // one look-up in a hundred for what is absent reads a block
	maxMemTables  = 4       // a flush that lags behind for longer stops writes
	l0Compaction  = 8       // half the compactions of 4, and reads no slower
	l0StopWrites  = 1000    // compactions that lag behind slow reads down and stop nothing
	maxOpenFiles  = 1000
)

func (o *Options) engine(fs vfs.FS, logger pebble.Logger, n *nudge) *pebble.Options {
	p := &pebble.Options{
		FS:                          fs,
		Logger:                      logger,
		Comparer:                    comparer(n),
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
