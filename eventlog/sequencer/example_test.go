package sequencer_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/sequencer"
)

// Events that come from everywhere are appended without a place, and a sequencer
// gives them one.
func ExampleRunner() {
	ctx, stop := context.WithCancel(context.Background())
	log, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		panic(err)
	}
	defer log.Close()
	done := make(chan error)
	go func() { done <- (&sequencer.Runner{Log: log}).Run(ctx) }()

	reading := eventlog.Raw{Type: "meter.read", Data: []byte(`{"kwh":17}`)}
	if _, err := log.Append(ctx, "meter/7", &eventlog.AppendOptions{Relaxed: true}, reading); err != nil {
		panic(err)
	}
	for r, err := range log.Read(ctx, eventlog.Query{Stream: "meter/7", Follow: true}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Version, r.Type, string(r.Data), r.Relaxed.Seen)
		break
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// 1 meter.read {"kwh":17} 0
	// <nil>
}
