package pebblelog

import (
	"errors"
	"fmt"
	"strings"
	"sync"

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

// probeFile is written to see whether anything can be written: about as much as an Open
// and a few writes need.
const (
	probeFile = "PROBE"
	probeSize = 1 << 20
)

// Mended returns nil when a directory that takes no more writes, as a FailedError says,
// can be expected to take them once this Log is closed and opened again. The error says
// what is in the way: nothing can be written there yet, or the engine ended in such a way
// that it keeps the directory as long as this process lives.
func (l *Log) Mended() error {
	err := l.failure.get()
	if err == nil {
		return nil
	}
	if errors.As(err, new(fatalError)) {
		return fmt.Errorf("pebblelog: only after the end of this process: %w", err)
	}
	fs := l.opts.FS
	probe := fs.PathJoin(l.dir, probeFile)
	if err = replaceFile(fs, l.dir, probeFile, strings.Repeat("x", probeSize)); err == nil {
		err = fs.Remove(probe)
	} else {
		_ = fs.Remove(probe + tmpSuffix)
	}
	if err != nil {
		return fmt.Errorf("pebblelog: nothing can be written in %s: %w", l.dir, err)
	}
	return nil
}

// failure holds the first reason why the directory takes no more writes.
type failure struct {
	dir string

	once sync.Once
	done chan struct{} // closed when failed
	err  *FailedError
}

func newFailure(dir string) *failure { return &failure{dir: dir, done: make(chan struct{})} }

// set records cause if it is the first.
func (f *failure) set(cause error) {
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
