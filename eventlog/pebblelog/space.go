package pebblelog

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// spaceInterval is how long an answer of the file system is good for. A disk
// that takes 2 GB/s fills 20 MB in it, a small part of the reserve.
const spaceInterval = 10 * time.Millisecond

// space keeps a reserve of free disk space. It is the committer's own.
type space struct {
	fs      vfs.FS
	dir     string
	reserve int64

	asked time.Time
	err   error
}

// check returns an error that wraps driver.ErrDiskFull while less than the
// reserve is free. What the file system cannot tell does not stop anybody.
func (s *space) check() error {
	if s.reserve <= 0 {
		return nil
	}
	now := time.Now()
	if !s.asked.IsZero() && now.Sub(s.asked) < spaceInterval {
		return s.err
	}
	s.asked, s.err = now, nil
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < uint64(s.reserve) {
		s.err = fmt.Errorf("%w: %s has %d bytes free, %d are kept in reserve",
			driver.ErrDiskFull, s.dir, usage.AvailBytes, s.reserve)
	}
	return s.err
}
