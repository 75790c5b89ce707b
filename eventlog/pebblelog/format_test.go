package pebblelog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestStoredRows holds the bytes of every kind of row. A change here is a new
// format: raise formatVersion and keep reading this one.
func TestStoredRows(t *testing.T) {
	t.Parallel()
	l, err := Open("log", &Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := commit(258, 1, "first", driver.Key{Name: "a", Pos: 1}, driver.Key{Name: "account/ä", Pos: 7})
	b.Commits = append(b.Commits, driver.Commit{Revision: 2, Data: []byte{0, 0xff}, Keys: []driver.Key{{Name: "a", Pos: 300}}})
	mustWrite(t, l, []driver.CellOp{put("lease/1", "me", 300), put("x", "", 1)}, b)
	want := []string{
		`c 6c656173652f31 = ac026d65`,
		`c 78 = 01`,
		`k 00000102 61 00 0000000000000001 = `,
		`k 00000102 61 00 000000000000012c = 02`,
		`k 00000102 6163636f756e742fc3a4 00 0000000000000007 = 01`,
		`r 0000000000000000 00000102 0001 = 6669727374`,
		`r 0000000000000000 00000102 0002 = 00ff`,
	}
	if diff := cmp.Diff(want, rowsOf(t, l.db)); diff != "" {
		t.Errorf("stored rows (- expected, + is):\n%s", diff)
	}
}

func rowsOf(t *testing.T, db *pebble.DB) (rows []string) {
	t.Helper()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		k, parts := it.Key(), []string(nil)
		switch k[0] {
		case kindCommit:
			parts = append(parts, hex.EncodeToString(k[1:9]), hex.EncodeToString(k[9:13]), hex.EncodeToString(k[13:]))
		case kindIndex:
			n := len(k) - 8
			parts = append(parts, hex.EncodeToString(k[1:5]), hex.EncodeToString(k[5:n-1]), hex.EncodeToString(k[n-1:n]), hex.EncodeToString(k[n:]))
		default:
			parts = append(parts, hex.EncodeToString(k[1:]))
		}
		rows = append(rows, fmt.Sprintf("%c %s = %x", k[0], strings.Join(parts, " "), it.Value()))
	}
	return rows
}

// TestFormatFile holds the file that marks a log.
func TestFormatFile(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l, err := Open("log", &Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := readFile(disk, "log/EVENTLOG")
	if text != "rollforward pebblelog format 1\n" {
		t.Errorf("EVENTLOG reads %q, %v", text, err)
	}
	if v := l.db.FormatMajorVersion(); v != pebble.FormatNewest {
		t.Errorf("the engine has format %d, its newest is %d: raise engineFormat and formatVersion", v, pebble.FormatNewest)
	}
}

// TestRefusedDirectories opens what cannot be opened: each error says why, names
// the path, and nothing is made or changed.
func TestRefusedDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	newer := filepath.Join(dir, "newer")
	foreign := filepath.Join(dir, "foreign")
	engine := filepath.Join(dir, "engine")
	empty := filepath.Join(dir, "empty")
	write := func(name, text string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "text")
	write(newer+"/EVENTLOG", "rollforward pebblelog format 17\n")
	write(foreign+"/holiday.jpg", "sea")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open(engine, &pebble.Options{Logger: &engineLogger{log: quiet}})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		o          *Options
		is         error
		says       string
	}{
		{"a file", file, nil, nil, "a file, not a directory"},
		{"a newer format", newer, nil, nil, "has format 17, this program knows formats up to 1"},
		{"other files", foreign, nil, ErrForeign, "holiday.jpg"},
		{"another program's engine", engine, nil, ErrForeign, "not an event log"},
		{"missing", dir + "/missing", &Options{MustExist: true}, fs.ErrNotExist, "no such directory"},
		{"missing, to read", dir + "/missing", &Options{ReadOnly: true}, fs.ErrNotExist, "no such directory"},
		{"no log in it", empty, &Options{MustExist: true}, fs.ErrNotExist, "no event log"},
		{"no log in it, to read", empty, &Options{ReadOnly: true}, fs.ErrNotExist, "no event log"},
		{"options", dir + "/missing", &Options{CacheSize: -1}, nil, "negative"},
		{"permission", empty, &Options{FS: errorfs.Wrap(vfs.Default, forbidden{})}, fs.ErrPermission, "permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := listAll(t, dir)
			l, err := Open(c.path, c.o)
			if err == nil {
				l.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not name %s and say %q", err, c.path, c.says)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if diff := cmp.Diff(before, listAll(t, dir)); diff != "" {
				t.Errorf("files have changed:\n%s", diff)
			}
		})
	}
	var format *FormatError
	if _, err := Open(newer, nil); !errors.As(err, &format) || format.Found != 17 || format.Known != formatVersion {
		t.Errorf("%v is no *FormatError", err)
	}
}

// forbidden lets nobody write.
type forbidden struct{}

func (forbidden) String() string { return "forbidden" }

func (forbidden) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpLock {
		return &fs.PathError{Op: "open", Path: op.Path, Err: fs.ErrPermission}
	}
	return nil
}

// listAll lists the files under dir but for locks, which a refused Open may leave.
func listAll(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name := filepath.Base(path); name != "LOCK" || filepath.Base(filepath.Dir(path)) == "foreign" {
			names = append(names, path) // what is or may be a log is locked before it is looked at
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestCrashWhileCreating cuts the power at every step of the first Open: the
// directory opens afterwards.
func TestCrashWhileCreating(t *testing.T) {
	t.Parallel()
	for n := range int64(200) {
		disk := vfs.NewCrashableMem()
		f := &fault{err: errDisk, at: n + 1, on: true}
		f.armed.Store(true)
		l, err := Open("a/b/log", &Options{FS: errorfs.Wrap(disk, f)})
		if err == nil {
			l.Close()
		}
		after := disk.CrashClone(vfs.CrashCloneCfg{})
		if l, err = Open("a/b/log", &Options{FS: after}); err != nil {
			t.Fatalf("after a crash at step %d: %v", n+1, err)
		}
		mustWrite(t, l, nil, commit(0, 1, "first"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if f.hits.Load() == 0 {
			t.Logf("%d steps", n)
			return
		}
	}
}

// TestReadOnly reads a log without changing it.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l, err := Open("log", &Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, l, []driver.CellOp{put("x", "v", 1)}, commit(0, 1, "one", driver.Key{Name: "a", Pos: 1}))
	want := look(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Open("log", &Options{FS: disk, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "read-only", look(t, l), want)
	if err := l.Write(t.Context(), driver.Write{Batches: []driver.Batch{commit(0, 2, "two")}}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Write: %v, expected ErrReadOnly", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNamesWithNUL looks for what no name can be: nothing is found.
func TestNamesWithNUL(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, &Options{FS: vfs.NewMem()})
	defer l.Close()
	mustWrite(t, l, nil, commit(0, 1, "one", driver.Key{Name: "a", Pos: 0x7878787878787878}))
	for c, err := range l.Find(t.Context(), 0, "a\x00x", driver.Range{}) {
		t.Errorf("Find yields %v, %v", c, err)
	}
	for k, err := range l.Keys(t.Context(), 0, "a\x00", "") {
		t.Errorf("Keys yields %v, %v", k, err)
	}
}
