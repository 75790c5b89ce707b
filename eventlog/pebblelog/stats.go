package pebblelog

import "fmt"

// Stats says what a log takes of the machine.
type Stats struct {
	DiskBytes     uint64 // all files of the directory
	FreeBytes     uint64 // of the file system; 0 when it cannot tell
	Tables        int64  // files with sorted rows
	TableBytes    uint64
	LogBytes      uint64 // write-ahead log not yet in tables
	MemTableBytes uint64
	CacheBytes    int64
	CacheHits     int64 // since Open
	CacheMisses   int64
	Flushes       int64 // since Open
	Compactions   int64
	// PendingBytes is the estimate of what compactions still have to write.
	PendingBytes uint64
}

// Stats returns the numbers of this moment.
func (l *Log) Stats() (Stats, error) {
	if err := l.enter(); err != nil {
		return Stats{}, fmt.Errorf("pebblelog: %w", err)
	}
	defer l.leave()
	m := l.db.Metrics()
	total := m.Total()
	s := Stats{
		DiskBytes:     m.DiskSpaceUsage(),
		Tables:        total.TablesCount,
		TableBytes:    uint64(total.TablesSize),
		LogBytes:      m.WAL.Size,
		MemTableBytes: m.MemTable.Size,
		CacheBytes:    m.BlockCache.Size,
		CacheHits:     m.BlockCache.Hits,
		CacheMisses:   m.BlockCache.Misses,
		Flushes:       m.Flush.Count,
		Compactions:   m.Compact.Count,
		PendingBytes:  m.Compact.EstimatedDebt,
	}
	if usage, err := l.opts.FS.GetDiskUsage(l.dir); err == nil {
		s.FreeBytes = usage.AvailBytes
	}
	return s, nil
}
