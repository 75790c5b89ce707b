package pebblelog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// spaceInterval is how long an answer of the file system is good for. A disk
// that takes 2 GB/s fills 20 MB in it, a small part of the reserve.
const spaceInterval = 10 * time.Millisecond

// space says whether there is room for more writes: a reserve of free disk space,
// and memtables that can be flushed.
type space struct {
	fs      vfs.FS
	dir     string
	reserve int64

	mu        sync.Mutex
	ended     error                 // of the last flush
	unflushed atomic.Pointer[error] // why flushes fail, nil while they do not

	// The leader's own.
	asked time.Time
	err   error
}

// flushed notes how a flush ended. The engine reports an error here also where
// there was nothing to write; one that counts comes back in background.
func (s *space) flushed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended = err; err == nil {
		s.unflushed.Store(nil)
	}
}

// background notes an error of the engine's own work. When it is that of the last
// flush, writes are refused until a flush succeeds, which the engine tries again:
// they would pile up in memory and then hang.
func (s *space) background(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && errors.Is(err, s.ended) {
		s.unflushed.Store(&err)
	}
}

// check returns an error while there is no room for writes.
func (s *space) check() error {
	if err := s.unflushed.Load(); err != nil {
		return flushError(s.dir, *err)
	}
	if s.reserve <= 0 {
		return nil
	}
	if now := time.Now(); now.Sub(s.asked) >= spaceInterval {
		s.asked, s.err = now, s.ask()
	}
	return s.err
}

// ask asks the file system. What it cannot tell stops nobody.
func (s *space) ask() error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil || usage.AvailBytes >= uint64(s.reserve) {
		return nil
	}
	return fmt.Errorf("%w: %s has %d bytes free, %d are kept in reserve",
		driver.ErrDiskFull, s.dir, usage.AvailBytes, s.reserve)
}

func flushError(dir string, err error) error {
	if isDiskFull(err) {
		return fmt.Errorf("%w: %s: %w", driver.ErrDiskFull, dir, err)
	}
	return fmt.Errorf("%s takes no writes until this is mended: %w", dir, err)
}

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
