package memlog_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// Two handles of a store stand for two processes.
func ExampleStore() {
	ctx := context.Background()
	store := memlog.NewStore()
	one, two := store.Open(), store.Open()
	defer one.Close()
	defer two.Close()

	hello := driver.Write{Batches: []driver.Batch{{
		Shard: 3, First: 1, Commits: []driver.Commit{{Revision: 1, Data: []byte("hello")}},
	}}}
	fmt.Println(one.Write(ctx, hello))
	for c, err := range two.Read(ctx, 3, driver.Range{}) {
		fmt.Println(c.Revision, string(c.Data), err)
	}
	fmt.Println(two.Write(ctx, hello))
	// Output:
	// <nil>
	// 1 hello <nil>
	// shard 3 has tail 1
}
