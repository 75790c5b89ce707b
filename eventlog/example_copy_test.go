package eventlog_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// The streams of a log, with their versions.
func ExampleStreamInfo() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}, Painted{"blue"}))
	must(log.Append(ctx, "room/2", nil, Booked{"bob"}))
	for s := range each(log.Streams(ctx, "room/")) {
		fmt.Println(s.Stream, s.Version)
	}
	// Output:
	// room/1 2
	// room/2 1
}

// An export is read into another log, which is then the same.
func ExampleImportResult() {
	ctx := context.Background()
	log, copied := open(nil), open(nil)
	defer log.Close()
	defer copied.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}, Painted{"blue"}))
	var file bytes.Buffer
	if err := eventlog.Export(ctx, log, &file, nil); err != nil {
		panic(err)
	}
	lines := file.Bytes()
	for range 2 { // again changes nothing
		done := must(eventlog.Import(ctx, copied, bytes.NewReader(lines)))
		fmt.Println(done.Transactions, done.Events, done.Repeated)
	}
	// Output:
	// 1 2 0
	// 0 0 1
}

// An export that was cut short is completed.
func ExampleExportOptions() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	var whole, rest bytes.Buffer
	if err := eventlog.Export(ctx, log, &whole, nil); err != nil {
		panic(err)
	}
	begun := whole.Bytes()[:whole.Len()/2]
	if err := eventlog.Export(ctx, log, &rest, &eventlog.ExportOptions{Begun: bytes.NewReader(begun)}); err != nil {
		panic(err)
	}
	fmt.Println(string(begun)+rest.String() == whole.String())
	// Output:
	// true
}

func ExampleCheckOptions() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	for i := range 2000 {
		must(log.Append(ctx, fmt.Sprint("room/", i), nil, Booked{"ada"}))
	}
	told := false
	err := eventlog.CheckWith(ctx, log, &eventlog.CheckOptions{Progress: func(done, total int64) { told = told || done > 0 && done <= total }})
	fmt.Println(told, err)
	// Output:
	// true <nil>
}
