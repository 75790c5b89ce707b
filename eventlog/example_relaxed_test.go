package eventlog_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// relaxed are options of an append that waits for no place.
var relaxed = &eventlog.AppendOptions{Relaxed: true}

// A relaxed append is durable and has no place; a fold gives it one.
func ExampleLog_Fold() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	fmt.Println(log.Append(ctx, "room/1", relaxed, Painted{"green"}))
	count := func() (n int) {
		for range each(log.Read(ctx, eventlog.Query{Stream: "room/1"})) {
			n++
		}
		return n
	}
	fmt.Println(count(), "event to be read")
	position, err := log.Fold(ctx)
	fmt.Println(count(), "events at", position.Revision(log.ShardOf("room/1")), err)
	// Output:
	//  <nil>
	// 1 event to be read
	// 2 events at 2 <nil>
}

// A record says of a relaxed append how it came: here both had seen one revision,
// and were folded into the second.
func ExampleRelaxed() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	must(log.Append(ctx, "room/1", relaxed, Painted{"green"}))
	must(log.Append(ctx, "room/1", relaxed, Painted{"red"}))
	must(log.Fold(ctx))
	for r := range each(log.Read(ctx, eventlog.Query{Stream: "room/1"})) {
		if r.Relaxed == nil {
			fmt.Println(r.Version, "in revision", r.Revision)
			continue
		}
		fmt.Println(r.Version, "in revision", r.Revision, "had seen", r.Relaxed.Seen, r.Relaxed.ID == r.Commit())
	}
	// Output:
	// 1 in revision 1
	// 2 in revision 2 had seen 1 true
	// 3 in revision 2 had seen 1 true
}

// The timeline of a shard shows what was appended where it was appended, also what
// has no version yet.
func ExampleQuery_timeline() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", relaxed, Painted{"green"}))
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	for r := range each(log.Read(ctx, eventlog.Query{Stream: "room/1", Timeline: true})) {
		fmt.Println(r.Version, string(r.Data))
	}
	// Output:
	// 0 {"Colour":"green"}
	// 1 {"Colour":"blue"}
}

// What waits to be folded.
func ExampleUnfolded() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", relaxed, Painted{"green"}, Painted{"red"}))
	list, err := log.Unfolded(ctx)
	fmt.Println(len(list), list[0].Appends, list[0].Events, list[0].Shard == log.ShardOf("room/1"), err)
	// Output: 1 1 2 true <nil>
}

// A sequencer calls FoldShard again and again.
func ExampleFoldInfo() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	once := &eventlog.AppendOptions{Relaxed: true, ID: "request-1"}
	must(log.Append(ctx, "room/1", once, Painted{"green"}))
	must(log.Append(ctx, "room/1", once, Painted{"green"}))
	info, err := log.FoldShard(ctx, log.ShardOf("room/1"))
	fmt.Println(info.Cells, info.Appends, info.Repeated, info.More, err)
	// Output: 2 1 1 false <nil>
}

// Appends that wait for a put share the next one.
func ExampleLooseInfo() {
	ctx := context.Background()
	log := open(&eventlog.Options{Hooks: eventlog.Hooks{Loose: func(p eventlog.LooseInfo) {
		fmt.Println(p.Appends, p.Events)
	}}})
	defer log.Close()
	must(log.Append(ctx, "room/1", relaxed, Painted{"green"}, Painted{"red"}))
	// Output: 1 2
}
