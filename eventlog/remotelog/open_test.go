package remotelog

import (
	"errors"
	"io/fs"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

func share(t *testing.T, dir string, o Options) *Log {
	t.Helper()
	o.Store.MemTableSize = 1 << 20
	l, err := Open(t.Context(), dir, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *Log) owns() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.at.(*owner)
	return ok
}

func mustWrite(t *testing.T, l driver.Log, rev driver.Revision) {
	t.Helper()
	var lost *driver.TailError
	unknown := false
	for {
		err := l.Write(t.Context(), put(rev, 10))
		switch {
		case errors.Is(err, driver.ErrUnknown): // its owner has just gone: it is repeated, as eventlog does
			unknown = true
		case err == nil, unknown && errors.As(err, &lost) && lost.Tail == rev:
			return
		default:
			t.Fatalf("write %d: %v", rev, err)
		}
	}
}

func mustTail(t *testing.T, l driver.Log, want driver.Revision) {
	t.Helper()
	if tail, err := l.Tail(t.Context(), 0); tail != want || err != nil {
		t.Errorf("tail %d, %v; expected %d", tail, err, want)
	}
}

// TestOwnerGoes: what is under way at another process goes on when the owner
// closes: writes, iterations in their middle, a watch.
func TestOwnerGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second, third := share(t, dir, Options{}), share(t, dir, Options{}), share(t, dir, Options{})
	if !first.owns() || second.owns() || third.owns() {
		t.Fatal("the first one does not own the directory, or not alone")
	}
	const n = 2000 // more than the pages that are sent ahead
	for rev := driver.Revision(1); rev <= n; {
		w := driver.Write{Batches: []driver.Batch{{First: rev}}}
		for range n / 10 {
			w.Batches[0].Commits = append(w.Batches[0].Commits, driver.Commit{Revision: rev, Data: make([]byte, 200),
				Keys: []driver.Key{{Name: "k", Pos: 3 * uint64(rev)}}})
			rev++
		}
		if err := first.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	var under []func() (driver.Commit, error, bool)
	for _, seq := range []iter.Seq2[driver.Commit, error]{
		second.Read(t.Context(), 0, driver.Range{To: n + 1}), second.Read(t.Context(), 0, driver.Range{Backward: true, To: n + 1}),
		second.Find(t.Context(), 0, "k", driver.Range{}), second.Find(t.Context(), 0, "k", driver.Range{Backward: true}),
		first.Read(t.Context(), 0, driver.Range{}),
	} {
		next, stop := iter.Pull2(seq)
		defer stop()
		next()
		under = append(under, next)
	}
	heads, stop := iter.Pull2(third.Watch(t.Context()))
	defer stop()
	if h, err, _ := heads(); err != nil || h.Revision != n {
		t.Errorf("watch: %v %v", h, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	mustWrite(t, second, n+1)
	mustWrite(t, third, n+2)
	t.Logf("others go on after %v", time.Since(begin))
	for i, next := range under[:4] {
		seen := 1
		for c, err, ok := next(); ok; c, err, ok = next() {
			want := driver.Revision(seen + 1)
			if i%2 == 1 {
				want = driver.Revision(n - seen)
			}
			if i == 3 && seen == 1 && c.Revision > n { // the range was open
				continue
			}
			if err != nil || c.Revision != want {
				t.Fatalf("iteration %d: revision %d, %v; expected %d", i, c.Revision, err, want)
			}
			seen++
		}
		if seen != n {
			t.Errorf("iteration %d ended after %d", i, seen)
		}
	}
	for _, err, ok := under[4](); !errors.Is(err, driver.ErrClosed); _, err, ok = under[4]() {
		if err != nil || !ok {
			t.Fatalf("an iteration of the closed one: %v %v", err, ok)
		}
	}
	for {
		h, err, ok := heads()
		if err != nil || !ok {
			t.Fatalf("watch: %v %v", h, err)
		}
		if h.Revision == n+2 {
			break
		}
	}
	mustTail(t, second, n+2)
	if second.owns() == third.owns() {
		t.Errorf("owners: %v and %v", second.owns(), third.owns())
	}
}

// TestReaderMakesRoom: who only reads leaves files as they are, lets other readers
// in, and leaves the directory to who comes to write.
func TestReaderMakesRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if l, err := Open(t.Context(), filepath.Join(dir, "none"), &Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a reader makes a log: %v %v", l, err)
	}
	made := share(t, dir, Options{})
	mustWrite(t, made, 1)
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	reader, second := share(t, dir, Options{ReadOnly: true}), share(t, dir, Options{ReadOnly: true})
	if !reader.owns() || second.owns() {
		t.Error("two readers do not share")
	}
	for _, r := range []*Log{reader, second} {
		mustTail(t, r, 1)
		if err := r.Write(t.Context(), put(2, 1)); !errors.Is(err, ErrReadOnly) {
			t.Errorf("a reader writes: %v", err)
		}
	}
	next, stop := iter.Pull2(reader.Watch(t.Context()))
	defer stop()
	next()
	writer := share(t, dir, Options{})
	mustWrite(t, writer, 2)
	for _, r := range []*Log{reader, second} {
		mustTail(t, r, 2)
	}
	for h, err, ok := next(); ; h, err, ok = next() {
		if err != nil || !ok {
			t.Fatalf("watch: %v %v", h, err)
		}
		if h.Revision == 2 {
			break
		}
	}
	if !writer.owns() || reader.owns() || second.owns() {
		t.Error("the writer does not own the directory")
	}
}

// TestHeldByOthers: a program that does not share is refused and refuses, at once
// and by name.
func TestHeldByOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alone, err := pebblelog.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var held *pebblelog.HeldError
	if _, err := Open(t.Context(), dir, nil); !errors.As(err, &held) || held.PID != os.Getpid() || held.Sharing {
		t.Errorf("beside one that does not share: %v", err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	share(t, dir, Options{})
	if _, err := pebblelog.Open(dir, nil); !errors.As(err, &held) || !held.Sharing {
		t.Errorf("one that does not share: %v", err)
	}
}

// TestSocketOfTheDead: what an owner that was killed left is replaced, and nobody
// follows it.
func TestSocketOfTheDead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := share(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, socketName)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
	for what, leave := range map[string]func() error{
		"a socket": func() error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return l.Close()
		},
		"a file":          func() error { return os.WriteFile(name, []byte("x"), 0o600) },
		"a link":          func() error { return os.Symlink("/nowhere/"+privateName+"1/"+privateSock, name) },
		"half a socket":   func() error { return os.MkdirAll(name+".d/s", 0o700) },
		"a link to ahome": func() error { return os.Symlink(filepath.Join(dir, "x", privateSock), name) },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		first := share(t, dir, Options{})
		second := share(t, dir, Options{})
		if !first.owns() || second.owns() {
			t.Errorf("%s: it is not shared", what)
		}
		if err := errors.Join(second.Close(), first.Close()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSocketIsPrivate: nobody else may use it.
func TestSocketIsPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	share(t, dir, Options{})
	info, err := os.Lstat(filepath.Join(dir, socketName))
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestLongPath: a directory whose path is too long for a socket is shared too, and
// what is elsewhere is removed.
func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	first, second := share(t, dir, Options{}), share(t, dir, Options{})
	if !first.owns() || second.owns() {
		t.Fatal("it is not shared")
	}
	mustWrite(t, second, 1)
	to, err := os.Readlink(filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := dialSocket(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("a directory that is not private is trusted: %v", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Dir(to)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it stays: %v", err)
	}
}

// TestOpenDirectory: where everybody may write nobody is let in, for anybody could
// pass for the owner; the error says so.
func TestOpenDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	alone := share(t, dir, Options{})
	mustWrite(t, alone, 1)
	if l, err := Open(t.Context(), dir, nil); !errors.Is(err, pebblelog.ErrHeld) || !strings.Contains(err.Error(), "everybody may write") {
		t.Errorf("%v %v", l, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, socketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a socket: %v", err)
	}
}

// TestMaintain: what only the owner can do it does for others.
func TestMaintain(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	share(t, dir, Options{})
	second := share(t, dir, Options{})
	mustWrite(t, second, 1)
	if s, err := second.Stats(t.Context()); err != nil || s.DiskBytes == 0 {
		t.Errorf("stats: %+v %v", s, err)
	}
	if err := second.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := second.Backup(t.Context(), backup); err == nil {
		t.Error("a backup is made over another one")
	}
	mustTail(t, share(t, backup, Options{}), 1)
}

// TestFullFrame: a Write that is too long when encoded is refused like any other.
func TestFullFrame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	share(t, dir, Options{})
	second := share(t, dir, Options{})
	w := driver.Write{Batches: []driver.Batch{{First: 1}}}
	for rev := driver.Revision(1); rev <= 2_000_000; rev++ {
		w.Batches[0].Commits = append(w.Batches[0].Commits, driver.Commit{Revision: rev})
	}
	if err := second.Write(t.Context(), w); !errors.Is(err, driver.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	mustTail(t, second, 0)
}
