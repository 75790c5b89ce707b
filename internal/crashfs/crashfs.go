// Package crashfs is the engine's file system in memory, whose power tests cut while
// it is written.
package crashfs

import "github.com/cockroachdb/pebble/v2/vfs"

// An FS is a crashable vfs.MemFS of which CrashClone may be called at any time.
//
// A vfs.MemFS takes a lock that it has already in ReuseForWrite, for reading, and so
// hangs for ever when CrashClone asks for the same lock in between.
type FS struct{ *vfs.MemFS }

// New returns an empty file system.
func New() FS { return FS{vfs.NewCrashableMem()} }

// ReuseForWrite renames a file and opens it to be written from its start.
func (fs FS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.Rename(old, name); err != nil {
		return nil, err
	}
	return fs.OpenReadWrite(name, c)
}
