package lease_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// Two runners share four things. The first has them all until it is told what is
// surplus.
func ExampleKeeper() {
	ctx := context.Background()
	l, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		panic(err)
	}
	defer l.Close()
	ann := &lease.Keeper{Log: l, Prefix: "$example", Count: 4, Name: "ann"}
	bob := &lease.Keeper{Log: l, Prefix: "$example", Count: 4, Name: "bob"}
	for _, k := range []*lease.Keeper{ann, bob, ann, bob} {
		if err := k.Tick(ctx); err != nil {
			panic(err)
		}
		for _, i := range k.Surplus() { // and nothing is in hand
			if err := k.GiveBack(ctx, i); err != nil {
				panic(err)
			}
		}
		fmt.Println(k.Name, k.Held())
	}
	list, err := lease.Leases(ctx, l, "$example", 4)
	fmt.Println(list[3].Index, list[3].Epoch, list[3].Name, err)
	// Output:
	// ann [{0 1} {1 1} {2 1} {3 1}]
	// bob []
	// ann [{0 1} {1 1}]
	// bob [{2 2} {3 2}]
	// 3 2 bob <nil>
}
