package pebblelog

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A guard stands between the engine and the file system. The engine panics, or
// asks its logger to end the process, when it cannot write its write-ahead log
// or its manifest. The guard sees such an error first: it records it as the
// failure of the directory, freezes the directory, and tells the engine that all
// is well. From then on nothing of what is on disk changes:
//
//   - writes and syncs of logs, manifests and markers are dropped, so no later
//     one can succeed over a hole;
//   - no file is removed or renamed, so what the manifest on disk names stays;
//   - new table files wait until the directory is closed.
//
// The engine goes on in memory and serves reads. Acknowledged writes are on
// disk, and a new Open finds them.
type guard struct {
	vfs.FS
	failure *failure
	closing chan struct{} // closed by Close: waiting files are refused
	end     sync.Once
}

func newGuard(fs vfs.FS, f *failure) *guard {
	return &guard{FS: fs, failure: f, closing: make(chan struct{})}
}

// release refuses the table files that wait, so that the engine can close.
func (g *guard) release() { g.end.Do(func() { close(g.closing) }) }

// Unwrap returns the file system below.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// fail records err as the failure of the directory.
func (g *guard) fail(op, name string, err error) {
	g.failure.set(fmt.Errorf("%s %s: %w", op, name, err))
}

// vital reports whether an error on the file is one the engine does not survive.
// Table files are not: the engine tries again with another file.
func (g *guard) vital(name string) bool {
	base := g.PathBase(name)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.")
}

// await blocks while the directory has failed and is not being closed.
func (g *guard) await() error {
	if !g.failure.failed() {
		return nil
	}
	<-g.closing
	return g.failure.get()
}

// Create creates a file, or a dummy when a vital one cannot be.
func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	vital := g.vital(name)
	if !vital {
		if err := g.await(); err != nil {
			return nil, err
		}
		return g.FS.Create(name, c)
	}
	if g.failure.failed() {
		return vfs.NewMemFile(nil), nil
	}
	f, err := g.FS.Create(name, c)
	return g.guardFile(f, "create", name, err)
}

// ReuseForWrite renames an old log and opens it.
func (g *guard) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if g.failure.failed() {
		return &guardedFile{guard: g, name: newname, File: vfs.NewMemFile(nil)}, nil
	}
	f, err := g.FS.ReuseForWrite(oldname, newname, c)
	return g.guardFile(f, "reuse", newname, err)
}

func (g *guard) guardFile(f vfs.File, op, name string, err error) (vfs.File, error) {
	if err != nil {
		g.fail(op, name, err)
		f = vfs.NewMemFile(nil)
	}
	return &guardedFile{guard: g, name: name, File: f}, nil
}

// OpenDir opens a directory, whose sync makes names durable.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{guard: g, name: name, File: f}, nil
}

// Remove removes a file, unless the directory has failed.
func (g *guard) Remove(name string) error {
	if g.failure.failed() {
		return nil
	}
	return g.FS.Remove(name)
}

// RemoveAll removes a tree, unless the directory has failed.
func (g *guard) RemoveAll(name string) error {
	if g.failure.failed() {
		return nil
	}
	return g.FS.RemoveAll(name)
}

// Rename renames a file, unless the directory has failed.
func (g *guard) Rename(oldname, newname string) error {
	if g.failure.failed() {
		return nil
	}
	return g.FS.Rename(oldname, newname)
}

// A guardedFile is a vital file. Its first error is the failure of the
// directory; the engine hears of none.
type guardedFile struct {
	vfs.File
	guard *guard
	name  string
}

func (f *guardedFile) Write(p []byte) (int, error) {
	if f.guard.failure.failed() {
		return len(p), nil
	}
	n, err := f.File.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	f.check("write", err)
	return len(p), nil
}

func (f *guardedFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *guardedFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *guardedFile) sync(sync func() error) error {
	if !f.guard.failure.failed() {
		f.check("sync", sync())
	}
	return nil
}

func (f *guardedFile) SyncTo(n int64) (bool, error) {
	if f.guard.failure.failed() {
		return true, nil
	}
	full, err := f.File.SyncTo(n)
	f.check("sync", err)
	return full, nil
}

func (f *guardedFile) Close() error {
	f.check("close", f.File.Close())
	return nil
}

func (f *guardedFile) check(op string, err error) {
	if err != nil {
		f.guard.fail(op, f.name, err)
	}
}
