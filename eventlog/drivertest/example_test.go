package drivertest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// The answer to the first write is lost on its way; the write itself arrives
// two calls later, after its writer has looked for it in vain.
func ExampleFaulty() {
	ctx := context.Background()
	log := drivertest.NewFaulty(memlog.Open(),
		drivertest.Nth("Write", 1, drivertest.Fault{Kind: drivertest.Late, N: 2}))
	defer log.Close()

	w := driver.Write{Batches: []driver.Batch{{
		Shard: 0, First: 1, Commits: []driver.Commit{{Revision: 1, Data: []byte("hello")}},
	}}}
	fmt.Println("unknown:", errors.Is(log.Write(ctx, w), driver.ErrUnknown))
	tail, _ := log.Tail(ctx, 0)
	fmt.Println("tail:", tail)
	fmt.Println("repeated:", log.Write(ctx, w))
	// Output:
	// unknown: true
	// tail: 0
	// repeated: shard 0 has tail 1
}

// One write in ten fails, one in ten loses its answer: the same ones in every
// run with this seed.
func ExampleChaos() {
	log := drivertest.NewFaulty(memlog.Open(), drivertest.Chaos(1, drivertest.Odds{Fail: 0.1, Lose: 0.1}))
	defer log.Close()

	ctx := context.Background()
	for range 100 {
		tail, _ := log.Tail(ctx, 0)
		_ = log.Write(ctx, driver.Write{Batches: []driver.Batch{{
			Shard: 0, First: tail + 1, Commits: []driver.Commit{{Revision: tail + 1}},
		}}})
	}
	tail, _ := log.Tail(ctx, 0)
	failed := log.Injected(drivertest.Fail)
	fmt.Println("some failed:", failed > 0, "some lost their answer:", log.Injected(drivertest.Lose) > 0)
	fmt.Println("the others are there:", int(tail) == 100-failed)
	// Output:
	// some failed: true some lost their answer: true
	// the others are there: true
}
