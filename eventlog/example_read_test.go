package eventlog_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

func ExampleQuery() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}, eventlog.Tagged(Booked{"ada"}, "guest/ada"), Left{"ada"}))
	must(log.Append(ctx, "room/2", nil, eventlog.Tagged(Booked{"ada"}, "guest/ada")))

	show := func(what string, q eventlog.Query) {
		fmt.Print(what, ":")
		for r, err := range log.Read(ctx, q) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf(" %s@%d", r.Stream, r.Version)
		}
		fmt.Println()
	}
	show("a stream", eventlog.Query{Stream: "room/1"})
	show("its last two", eventlog.Query{Stream: "room/1", Backward: true, Limit: 2})
	show("from version 2", eventlog.Query{Stream: "room/1", From: 2})
	show("a tag", eventlog.Query{Tag: "guest/ada"})
	show("a type", eventlog.Query{Types: []string{"hotel.left"}})
	show("everything", eventlog.Query{})
	// Output:
	// a stream: room/1@1 room/1@2 room/1@3
	// its last two: room/1@3 room/1@2
	// from version 2: room/1@2 room/1@3
	// a tag: room/1@2 room/2@1
	// a type: room/1@3
	// everything: room/1@1 room/1@2 room/1@3 room/2@1
}

// A following reader gets what is there and then what comes, until its context
// ends or it has enough.
func ExampleQuery_follow() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	go func() { must(log.Append(ctx, "room/1", nil, Left{"ada"})) }()

	for r, err := range log.Read(ctx, eventlog.Query{Stream: "room/1", Follow: true}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Type)
		if r.Type == "hotel.left" {
			break
		}
	}
	// Output:
	// hotel.booked
	// hotel.left
}

// A reader notes how far it came, stops, and goes on there: nothing is lost and
// nothing comes twice.
func ExamplePosition() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	for _, guest := range []string{"ada", "bob", "eve"} {
		must(log.Append(ctx, "room/"+guest, nil, Booked{guest}))
	}
	var checkpoint string // kept wherever the reader keeps its results
	read := func(limit int) {
		at, err := eventlog.ParsePosition(checkpoint)
		if err != nil {
			fmt.Println(err)
			return
		}
		for r := range each(log.Read(ctx, eventlog.Query{After: at, Limit: limit})) {
			fmt.Println(r.Stream)
			at.Advance(r)
		}
		checkpoint = at.String()
	}
	read(2)
	fmt.Println("restart")
	read(2)
	// Output:
	// room/ada
	// room/bob
	// restart
	// room/eve
}

// A caller waits until a reader elsewhere has seen what it wrote: the position
// that a write returns says how far that is.
func ExampleLog_WaitFor() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	p := must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	fmt.Println(log.WaitFor(ctx, p)) // at once for what this process wrote itself
	all := must(log.Position(ctx))
	fmt.Println(all.Covers(p))
	// Output:
	// <nil>
	// true
}

func ExampleRecord() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", &eventlog.AppendOptions{Tags: []string{"vip"}, Meta: eventlog.Meta{Actor: "reception"}}, Booked{"ada"}))
	for r := range each(log.Read(ctx, eventlog.Query{Tag: "vip"})) {
		var e Booked
		if err := r.Decode(&e); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Stream, r.Version, r.Type, e.Guest, r.Tags, r.Meta.Actor)
	}
	// Output: room/1 1 hotel.booked ada [vip] reception
}
