package saga_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/saga"
)

// A census counts beside the runner, in any number of processes.
func ExampleCensus() {
	log := begin(map[string]Booking{
		"1": {"ada", "ritz", "LH1"},
		"2": {"bob", "ritz", "LH1"},
	})
	defer log.Close()
	ctx, stop := context.WithCancel(context.Background())
	census := &saga.Census{Log: log}
	done := make(chan error)
	go func() { done <- census.Run(ctx) }()

	var shards []saga.CensusShard
	for len(shards) < log.Shards() { // a service asks when its metrics are scraped
		shards, _ = census.Counts(ctx)
	}
	total := map[saga.State]int{}
	for _, s := range shards {
		for state, n := range s.Instances["booking"] {
			total[state] += n
		}
	}
	fmt.Println(total[saga.Running], "running,", total[saga.Completed], "completed,", total[saga.Compensated], "compensated")
	stop()
	fmt.Println(<-done, census.Health(context.Background()))
	// Output:
	// 0 running, 1 completed, 1 compensated
	// <nil> saga: the census does not run
}
