package pebblelog

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestUnwritable: a log is read where nothing can be written: on a disk without a
// byte free, and on a read-only one, where there is not even a lock. Whoever wants
// to write is told why not.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, &Options{FS: disk})
	corruptFill(t, l, 1, 100)
	before := look(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ cause, want error }{
		"full":      {syscall.ENOSPC, driver.ErrDiskFull},
		"read-only": {syscall.EROFS, syscall.EROFS},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{FS: errorfs.Wrap(disk, refusing{c.cause})}
			if l, err := Open("log", &o); !errors.Is(err, c.want) {
				t.Errorf("to write: %v, expected %v", err, c.want)
				if err == nil {
					_ = l.Close()
				}
			}
			o.ReadOnly = true
			l, err := Open("log", &o)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "read", look(t, l), before)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// refusing refuses whatever changes the file system.
type refusing struct{ cause error }

func (refusing) String() string { return "refusing" }

func (r refusing) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpLock || op.Kind == errorfs.OpLock && r.cause == syscall.EROFS {
		return &fs.PathError{Op: "open", Path: op.Path, Err: r.cause}
	}
	return nil
}
