package pebblelog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrHeld says that another process, or this one, has the directory open. The
// error in hand is a *HeldError where the holder is known.
var ErrHeld = errors.New("held")

// A HeldError says who holds a directory. It wraps ErrHeld.
type HeldError struct {
	Dir     string
	PID     int // 0: not known
	Host    string
	Since   time.Time
	Command string
	Sharing bool  // it lets others in: see package remotelog
	Cause   error // what the operating system said
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is held by a process that is not known: %v", e.Dir, e.Cause)
	}
	return fmt.Sprintf("%s is held by process %d on %s since %s: %s", e.Dir, e.PID, e.Host, e.Since.Format(time.RFC3339), e.Command)
}

// Unwrap returns ErrHeld and the cause.
func (e *HeldError) Unwrap() []error { return []error{ErrHeld, e.Cause} }

// ownerFile lies beside the engine's LOCK and says who holds it. It is read only
// by those who failed to get the lock, so what a crash leaves behind misleads
// nobody: whoever has the lock has written it anew.
const ownerFile = "OWNER"

// hold locks the directory and signs for it. Where no file can be written, because
// the disk is full or read-only, it does without the signature, and a reader on a
// read-only file system, where nobody writes, also without the lock.
func hold(o *Options, dir string) (io.Closer, *pebble.Lock, error) {
	fsys, locks := o.FS, o.FS
	if o.ReadOnly {
		locks = unwritable{fsys}
	}
	lock, err := pebble.LockDirectory(dir, locks)
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			return nil, nil, err // the lock file could not be opened at all
		}
		return nil, nil, readOwner(fsys, dir, err)
	}
	h := &holder{fs: fsys, path: fsys.PathJoin(dir, ownerFile), lock: lock, sharing: o.Sharing}
	if err := h.sign(); err != nil && !isDiskFull(err) && !errors.Is(err, syscall.EROFS) {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return h, lock, nil
}

// unwritable may be a read-only file system.
type unwritable struct{ vfs.FS }

func (u unwritable) Lock(name string) (io.Closer, error) {
	lock, err := u.FS.Lock(name)
	if errors.Is(err, syscall.EROFS) {
		return io.NopCloser(nil), nil
	}
	return lock, err
}

// A holder is the lock of this process.
type holder struct {
	fs     vfs.FS
	path   string
	lock   *pebble.Lock
	signed bool

	sharing bool
}

func (h *holder) sign() error {
	host, _ := os.Hostname()
	f, err := h.fs.Create(h.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	h.signed = true
	_, err = fmt.Fprintf(f, "pid %d\nhost %s\nsince %s\nsharing %t\ncommand %s\n",
		os.Getpid(), host, time.Now().UTC().Format(time.RFC3339), h.sharing, oneLine(strings.Join(os.Args, " ")))
	return errors.Join(err, f.Close())
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Close removes the signature and then gives the lock back.
func (h *holder) Close() error {
	var err error
	if h.signed {
		err = h.fs.Remove(h.path)
	}
	return errors.Join(err, h.lock.Close())
}

// readOwner makes a *HeldError of what the owner wrote.
func readOwner(fsys vfs.FS, dir string, cause error) error {
	e := &HeldError{Dir: dir, Cause: cause}
	text, err := readFile(fsys, fsys.PathJoin(dir, ownerFile))
	if err != nil {
		return e
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "pid":
			fmt.Sscan(value, &e.PID)
		case "host":
			e.Host = value
		case "since":
			e.Since, _ = time.Parse(time.RFC3339, value)
		case "sharing":
			e.Sharing = value == "true"
		case "command":
			e.Command = value
		}
	}
	return e
}

func readFile(fsys vfs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(b), err
}
