package driver_test

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func each[T any](seq iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v, err := range seq {
			if err != nil {
				panic(err)
			}
			if !yield(v) {
				return
			}
		}
	}
}

// A store puts commits behind the tail of their shard, or refuses. Programs use
// eventlog.Log, which stands on this.
func Example() {
	ctx := context.Background()
	var store driver.Log = memlog.Open()
	defer store.Close()
	write := driver.Write{
		Batches: []driver.Batch{{Shard: 3, First: 1, Commits: []driver.Commit{
			{Revision: 1, Data: []byte("opened"), Keys: []driver.Key{{Name: "account/ada", Pos: 1}}},
			{Revision: 2, Data: []byte("paid"), Keys: []driver.Key{{Name: "account/ada", Pos: 2}}},
		}}},
		Cells: []driver.CellOp{{Op: driver.Put, Cell: driver.Cell{Key: "lease", Value: []byte("mine"), Version: 7}}},
	}
	fmt.Println(store.Write(ctx, write))
	for c := range each(store.Find(ctx, 3, "account/ada", driver.Range{From: 2})) {
		fmt.Println(c.Revision, string(c.Data))
	}
	for c := range each(store.Cells(ctx, "lease", "", 1)) {
		fmt.Println(c.Key, string(c.Value), c.Version)
	}
	for k := range each(store.Keys(ctx, 3, "account/", "")) {
		fmt.Println(k.Name, k.Pos)
	}
	// Output:
	// <nil>
	// 2 paid
	// lease mine 7
	// account/ada 2
}

// Whoever comes second is told how far the shard has come.
func ExampleTailError() {
	ctx := context.Background()
	store := memlog.Open()
	defer store.Close()
	put := func(text string) error {
		return store.Write(ctx, driver.Write{Batches: []driver.Batch{{Shard: 0, First: 1, Commits: []driver.Commit{{Revision: 1, Data: []byte(text)}}}}})
	}
	fmt.Println(put("first"))
	var lost *driver.TailError
	if errors.As(put("second"), &lost) {
		fmt.Println("shard", lost.Shard, "is at", lost.Tail)
	}
	// Output:
	// <nil>
	// shard 0 is at 1
}

// Where a store tells what is under way, whoever comes second need not wait for the first
// one: it puts its commits behind those of it.
func ExampleFlight() {
	refusal := &driver.TailError{Shard: 0, Tail: 4, Ahead: []driver.Flight{
		{Write: [16]byte{7}, Batch: driver.Batch{Shard: 0, First: 5, Commits: []driver.Commit{{Revision: 5}, {Revision: 6}}}},
	}}
	last := refusal.Ahead[len(refusal.Ahead)-1]
	behind := driver.Batch{Shard: 0, Behind: last.Write, First: last.Batch.First + driver.Revision(len(last.Batch.Commits))}
	fmt.Println("behind write", behind.Behind[0], "at", behind.First)
	// Output:
	// behind write 7 at 7
}

// A cell is written on the condition that it has the version that was read.
func ExampleCellError() {
	ctx := context.Background()
	store := memlog.Open()
	defer store.Close()
	put := func(old, version uint64) error {
		return store.Write(ctx, driver.Write{Cells: []driver.CellOp{{Op: driver.Put, If: &old, Cell: driver.Cell{Key: "lease", Version: version}}}})
	}
	fmt.Println(put(0, 10))
	var lost *driver.CellError
	if errors.As(put(0, 11), &lost) {
		fmt.Println(lost.Key, "has version", lost.Version)
	}
	// Output:
	// <nil>
	// lease has version 10
}

// Heads tell which shards may have moved.
func ExampleHead() {
	ctx := context.Background()
	store := memlog.Open()
	defer store.Close()
	if err := store.Write(ctx, driver.Write{Batches: []driver.Batch{{Shard: 5, First: 1, Commits: []driver.Commit{{Revision: 1}}}}}); err != nil {
		panic(err)
	}
	for h := range each(store.Watch(ctx)) {
		fmt.Println(h.Shard, h.Revision)
		break
	}
	// Output:
	// 5 1
}

// Damage names where it is.
func ExampleCorruptError() {
	var err error = &driver.CorruptError{Shard: 2, Revision: 17, Reason: "checksum mismatch"}
	fmt.Println(err, errors.Is(err, driver.ErrCorrupt))
	// Output:
	// shard 2 revision 17: corrupt: checksum mismatch true
}
