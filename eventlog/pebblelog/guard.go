package pebblelog

import (
	"fmt"
	"strings"
	"sync"
	"time"

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
//   - no file is removed or renamed, so what the manifest on disk names stays.
//
// The engine goes on in memory and with new table files, and serves reads.
// Acknowledged writes are on disk, and a new Open finds them.
type guard struct {
	vfs.FS
	dir     string
	failure *failure
	tables  retry

	mu      sync.Mutex
	opening bool     // the engine may take damage for an end: nothing is removed yet
	removed []string // what it wanted removed meanwhile
}

func newGuard(fs vfs.FS, dir string, f *failure) *guard {
	return &guard{FS: fs, dir: dir, failure: f, tables: retry{closing: make(chan struct{})}, opening: true}
}

// Unwrap returns the file system below.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// within reports whether name is in the log's directory. A backup goes through
// the guard too, and its errors are its own.
func (g *guard) within(name string) bool { return g.PathDir(name) == g.dir }

// frozen reports whether name must not change.
func (g *guard) frozen(name string) bool { return g.failure.failed() && g.within(name) }

// vital reports whether an error on the file is one the engine does not survive.
// Table files are not: the engine tries again with another file.
func (g *guard) vital(name string) bool {
	base := g.PathBase(name)
	return g.within(name) && (isLog(base) || strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker."))
}

const logSuffix = ".log"

func isLog(name string) bool { return strings.HasSuffix(name, logSuffix) }

// Create creates a file. A vital one that cannot be created is the failure of
// the directory, and what the engine gets instead keeps nothing.
func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if !g.vital(name) {
		if g.within(name) {
			g.tables.wait()
		}
		return g.FS.Create(name, c)
	}
	if g.failure.failed() {
		return nullFile{}, nil
	}
	f, err := g.FS.Create(name, c)
	return g.wrap(f, "create", name, err), nil
}

// ReuseForWrite renames an old log and opens it.
func (g *guard) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if g.failure.failed() {
		return nullFile{}, nil
	}
	f, err := g.FS.ReuseForWrite(oldname, newname, c)
	return g.wrap(f, "reuse", newname, err), nil
}

func (g *guard) wrap(f vfs.File, op, name string, err error) vfs.File {
	if err != nil {
		g.fail(op, name, err)
		return nullFile{}
	}
	v := &vitalFile{File: f, guard: g, name: name}
	if isLog(name) {
		return newLogFile(v)
	}
	return v
}

// OpenDir opens a directory, whose sync makes names durable.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil || name != g.dir {
		return f, err
	}
	return &vitalFile{File: f, guard: g, name: name}, nil
}

// Remove removes a file, unless it is frozen.
func (g *guard) Remove(name string) error {
	if g.frozen(name) || g.later(name) {
		return nil
	}
	return g.FS.Remove(name)
}

// later notes the removal of a file while the engine opens.
func (g *guard) later(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opening {
		g.removed = append(g.removed, name)
	}
	return g.opening
}

// opened ends the opening: the log was found whole.
func (g *guard) opened() error {
	g.mu.Lock()
	g.opening = false
	names := g.removed
	g.removed = nil
	g.mu.Unlock()
	for _, name := range names {
		if err := g.Remove(name); err != nil && !isNotExist(err) {
			return err
		}
	}
	return nil
}

// Rename renames a file, unless it is frozen.
func (g *guard) Rename(oldname, newname string) error {
	if g.frozen(newname) {
		return nil
	}
	return g.FS.Rename(oldname, newname)
}

// fail records err as the failure of the directory.
func (g *guard) fail(op, name string, err error) {
	g.failure.set(fmt.Errorf("%s %s: %w", op, name, err))
}

// A retry slows the engine down that repeats a failed flush at once.
type retry struct {
	mu      sync.Mutex
	after   time.Time
	closing chan struct{} // closed by Close, which waits for the engine
	once    sync.Once
}

const retryDelay = time.Second

// failed makes wait wait.
func (r *retry) failed() {
	r.mu.Lock()
	r.after = time.Now().Add(retryDelay)
	r.mu.Unlock()
}

func (r *retry) wait() {
	r.mu.Lock()
	d := time.Until(r.after)
	r.mu.Unlock()
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.closing:
	}
}

func (r *retry) close() { r.once.Do(func() { close(r.closing) }) }
