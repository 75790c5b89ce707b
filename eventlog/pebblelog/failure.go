package pebblelog

import (
	"fmt"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A FailedError says that the directory takes no more writes, because the
// engine could not write to its log or its manifest. It is not retried: after a
// failed sync the operating system may have dropped the very bytes. Reads go on
// with what was durable; a new Open recovers every acknowledged write.
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
