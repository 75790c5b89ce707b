package pebblelog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A FailedError says that the directory takes no more writes, because the
// engine could not write to its log or its manifest. It is not retried: after a
// failed sync the operating system may have dropped the very bytes. Reads go on
// with what was durable; a new Open recovers every acknowledged write ([Log.Mended]).
//
// It wraps driver.ErrClosed, for no later write can succeed, and driver.ErrDiskFull
// where that was the cause.
type FailedError struct {
	Dir   string
	Cause error
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("%s takes no more writes until it is opened again: %v", e.Dir, e.Cause)
}

// Unwrap returns the cause and the sentinels that describe it.
func (e *FailedError) Unwrap() []error {
	errs := []error{e.Cause, driver.ErrClosed}
	if isDiskFull(e.Cause) {
		errs = append(errs, driver.ErrDiskFull)
	}
	return errs
}

// probeFile is written to see whether anything can be written.
const (
	probeFile = "PROBE"
	probeSize = 1 << 20
)

// Mended returns nil when a directory that takes no more writes, as a FailedError says,
// can be expected to take them once this Log is closed and opened again. The error says
// what is in the way: there is no room for what an Open has to write, nothing can be
// written, or the engine ended in such a way that it keeps the directory as long as this
// process lives. That last one, a *FailedError, stays.
func (l *Log) Mended() error {
	if err := l.enter(); err != nil {
		return nil // it is closed
	}
	defer l.leave()
	err := l.failure.get()
	switch {
	case err == nil:
		return nil
	case l.failure.fatal.Load():
		return fmt.Errorf("pebblelog: only after the end of this process: %w", err)
	}
	var room error
	if isDiskFull(err) {
		room = l.roomToOpen()
	}
	if err = room; err == nil {
		err = probe(l.opts.FS, l.opts.FS.PathJoin(l.dir, probeFile))
	}
	if err != nil {
		return fmt.Errorf("pebblelog: nothing can be written in %s: %w", l.dir, err)
	}
	return nil
}

// roomToOpen returns an error while there may be no room for what an Open makes: tables
// of what is in the write-ahead logs.
func (l *Log) roomToOpen() error {
	usage, err := l.opts.FS.GetDiskUsage(l.dir)
	if err != nil {
		return nil // as for space
	}
	logs, err := logFiles(l.opts.FS, l.dir)
	if err != nil {
		return err
	}
	need := uint64(probeSize)
	for _, f := range logs {
		info, err := l.opts.FS.Stat(f.name)
		if err != nil {
			return err
		}
		need += uint64(info.Size())
	}
	if usage.AvailBytes < need {
		return fmt.Errorf("%w: %d bytes free, to open it takes %d", driver.ErrDiskFull, usage.AvailBytes, need)
	}
	return nil
}

// probe writes a file, durably, and removes it.
func probe(fs vfs.FS, name string) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Sync(), f.Close(), fs.Remove(name))
}

// failure holds the first reason why the directory takes no more writes.
type failure struct {
	dir string

	once  sync.Once
	done  chan struct{} // closed when failed
	err   *FailedError
	fatal atomic.Bool // there was a fatalError, if not the first one
}

func newFailure(dir string) *failure { return &failure{dir: dir, done: make(chan struct{})} }

// set records cause if it is the first.
func (f *failure) set(cause error) {
	if errors.As(cause, new(fatalError)) {
		f.fatal.Store(true)
	}
	f.once.Do(func() {
		f.err = &FailedError{Dir: f.dir, Cause: cause}
		close(f.done)
	})
}

func (f *failure) failed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// get returns the *FailedError, or nil.
func (f *failure) get() error {
	if f.failed() {
		return f.err
	}
	return nil
}
