package pebblelog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// scratch returns a directory for an example.
func scratch() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "pebblelog")
	if err != nil {
		panic(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// hello writes the first commit of shard 0.
func hello(l *pebblelog.Log, text string) {
	must(l.Write(context.Background(), driver.Write{Batches: []driver.Batch{{
		Shard: 0, First: 1,
		Commits: []driver.Commit{{Revision: 1, Data: []byte(text), Keys: []driver.Key{{Name: "greeting", Pos: 1}}}},
	}}}))
}

func ExampleOpen() {
	dir, remove := scratch()
	defer remove()

	l, err := pebblelog.Open(filepath.Join(dir, "log"), nil)
	must(err)
	hello(l, "hello")
	must(l.Close())

	l, err = pebblelog.Open(filepath.Join(dir, "log"), nil)
	must(err)
	defer l.Close()
	for c, err := range l.Find(context.Background(), 0, "greeting", driver.Range{}) {
		must(err)
		fmt.Println(c.Revision, string(c.Data))
	}
	// Output: 1 hello
}

// A tool that only reads must not make a directory where there is none.
func ExampleOptions_mustExist() {
	dir, remove := scratch()
	defer remove()

	_, err := pebblelog.Open(filepath.Join(dir, "typo"), &pebblelog.Options{MustExist: true})
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	_, err = os.Stat(filepath.Join(dir, "typo"))
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// true
	// true
}

func ExampleHeldError() {
	dir, remove := scratch()
	defer remove()

	l, err := pebblelog.Open(dir, nil)
	must(err)
	defer l.Close()

	_, err = pebblelog.Open(dir, nil)
	var held *pebblelog.HeldError
	fmt.Println(errors.As(err, &held), held.PID == os.Getpid())
	// Output: true true
}

func ExampleFormatError() {
	dir, remove := scratch()
	defer remove()
	must(os.WriteFile(filepath.Join(dir, "EVENTLOG"), []byte("rollforward pebblelog format 9\n"), 0o644))

	_, err := pebblelog.Open(dir, nil)
	var format *pebblelog.FormatError
	fmt.Println(errors.As(err, &format), format.Found, format.Known)
	// Output: true 9 1
}

func ExampleLog_Backup() {
	ctx := context.Background()
	dir, remove := scratch()
	defer remove()

	l, err := pebblelog.Open(filepath.Join(dir, "log"), nil)
	must(err)
	hello(l, "hello")
	must(l.Backup(ctx, filepath.Join(dir, "backup")))
	must(l.Close())

	// The log is lost; the backup is checked and copied to a new place.
	must(os.RemoveAll(filepath.Join(dir, "log")))
	must(pebblelog.Restore(ctx, filepath.Join(dir, "backup"), filepath.Join(dir, "log"), nil))
	l, err = pebblelog.Open(filepath.Join(dir, "log"), nil)
	must(err)
	defer l.Close()
	tail, err := l.Tail(ctx, 0)
	fmt.Println(tail, err)
	// Output: 1 <nil>
}

func ExampleLog_Stats() {
	dir, remove := scratch()
	defer remove()

	l, err := pebblelog.Open(dir, nil)
	must(err)
	defer l.Close()
	hello(l, "hello")
	s, err := l.Stats()
	fmt.Println(s.DiskBytes > 0, s.LogBytes > 0, err)
	// Output: true true <nil>
}
