package remotelog_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
)

// must ends the example with an error.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

type opened struct{ Owner string }

func (opened) EventType() string { return "account.opened" }

// Two logs on one directory, as two processes would have them. When the first one
// closes the second one owns the directory.
func ExampleOpen() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "example"))
	defer os.RemoveAll(dir)
	first := must(eventlog.Open(ctx, must(remotelog.Open(ctx, dir, nil)), nil))
	second := must(eventlog.Open(ctx, must(remotelog.Open(ctx, dir, nil)), nil))
	defer second.Close()

	must(first.Append(ctx, "account/ada", nil, opened{"Ada"}))
	must(second.Append(ctx, "account/ada", &eventlog.AppendOptions{Expect: eventlog.Exactly(1)}, opened{"Ada, again"}))
	if err := first.Close(); err != nil {
		log.Fatal(err)
	}
	must(second.Append(ctx, "account/bob", nil, opened{"Bob"}))
	for r, err := range second.Read(ctx, eventlog.Query{Stream: "account/ada"}) {
		fmt.Println(r.Version, string(r.Data), err)
	}
	// Output:
	// 1 {"Owner":"Ada"} <nil>
	// 2 {"Owner":"Ada, again"} <nil>
}

// A log that is served over HTTP to who has the token.
func ExampleDial() {
	ctx := context.Background()
	h := remotelog.NewHandler(memlog.Open(), &remotelog.HandlerOptions{Token: "secret"})
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()

	_, err := remotelog.Dial(ctx, server.URL, nil)
	fmt.Println(err != nil)
	l := must(eventlog.Open(ctx, must(remotelog.Dial(ctx, server.URL, &remotelog.Options{Token: "secret"})), nil))
	defer l.Close()
	must(l.Append(ctx, "account/ada", nil, opened{"Ada"}))
	fmt.Println(l.Recent("account/ada"))
	// Output:
	// true
	// 1 true
}

// A Handler may stand beside others in one server.
func ExampleHandler() {
	h := remotelog.NewHandler(memlog.Open(), nil)
	mux := http.NewServeMux()
	mux.Handle("/log", h)
	server := httptest.NewServer(mux)
	defer server.Close()
	l := must(remotelog.Dial(context.Background(), server.URL+"/log", nil))
	fmt.Println(l.Tail(context.Background(), 0))
	fmt.Println(l.Close(), h.Close())
	// Output:
	// 0 <nil>
	// <nil> <nil>
}

// Whoever shares a directory can ask its owner for a backup.
func ExampleLog_Backup() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "example"))
	defer os.RemoveAll(dir)
	owner := must(remotelog.Open(ctx, filepath.Join(dir, "log"), nil))
	defer owner.Close()
	other := must(remotelog.Open(ctx, filepath.Join(dir, "log"), nil))
	defer other.Close()
	fmt.Println(other.Backup(ctx, filepath.Join(dir, "backup")))
	// Output:
	// <nil>
}

// A log that only reads, and must be there.
func ExampleOptions() {
	_, err := remotelog.Open(context.Background(), "no/such/log", &remotelog.Options{
		ReadOnly: true,
		Store:    pebblelog.Options{MustExist: true},
	})
	fmt.Println(err)
	// Output:
	// pebblelog: open no/such/log: no such directory: file does not exist
}

// A log that is served for reading only.
func ExampleHandlerOptions() {
	h := remotelog.NewHandler(memlog.Open(), &remotelog.HandlerOptions{ReadOnly: true})
	server := httptest.NewServer(h)
	defer server.Close()
	_, err := remotelog.Dial(context.Background(), server.URL, nil)
	fmt.Println(err != nil)
	l := must(remotelog.Dial(context.Background(), server.URL, &remotelog.Options{ReadOnly: true}))
	fmt.Println(l.Close(), h.Close())
	// Output:
	// true
	// <nil> <nil>
}
