package pebblelog

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// late is a file system on which another process makes the log just behind the first look
// for it.
type late struct {
	vfs.FS
	looks atomic.Int32
}

func (l *late) Stat(name string) (vfs.FileInfo, error) {
	if filepath.Base(name) == formatFile && l.looks.Add(1) == 1 {
		return nil, os.ErrNotExist
	}
	return l.FS.Stat(name)
}

// TestOpenBesideTheFirst: a directory that another process makes a log at this moment is one.
func TestOpenBesideTheFirst(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l, err := Open("log", &Options{FS: disk, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open("log", &Options{FS: &late{FS: disk}, Reserve: -1}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
