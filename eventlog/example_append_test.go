package eventlog_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// An append may say which version it was decided at.
func ExampleExpect() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	for _, expect := range []eventlog.Expect{eventlog.NoStream, eventlog.Exactly(1), eventlog.Exactly(1)} {
		_, err := log.Append(ctx, "room/1", &eventlog.AppendOptions{Expect: expect}, Painted{"blue"})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// eventlog: append room/1: stream room/1 is at version 2, not 1: conflict
}

func ExampleVersionError() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	_, err := log.Append(ctx, "room/1", &eventlog.AppendOptions{Expect: eventlog.NoStream}, Painted{"green"})
	var version *eventlog.VersionError
	if errors.As(err, &version) {
		fmt.Println(version.Stream, "has version", version.Have, errors.Is(err, eventlog.ErrConflict))
	}
	// Output: room/1 has version 1 true
}

func ExampleAppendOptions() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	_, err := log.Append(ctx, "room/1", &eventlog.AppendOptions{
		Expect: eventlog.NoStream,
		ID:     "request-1",
		Tags:   []string{"guest/ada"},
		Meta:   eventlog.Meta{Actor: "reception", Extra: map[string]string{"desk": "2"}},
	}, Booked{"ada"})
	fmt.Println(err)
	// Output: <nil>
}

// Tags find events in all streams.
func ExampleTagged() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, eventlog.Tagged(Booked{"ada"}, "guest/ada", "paid")))
	must(log.Append(ctx, "room/2", nil, eventlog.Tagged(Booked{"ada"}, "guest/ada")))
	for r := range each(log.Read(ctx, eventlog.Query{Tag: "guest/ada"})) {
		fmt.Println(r.Stream, r.Tags)
	}
	// Output:
	// room/1 [guest/ada paid]
	// room/2 [guest/ada]
}

// Raw is an event whose Go type is not known here, as in a program that copies
// or imports.
func ExampleRaw() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, eventlog.Raw{Type: "hotel.painted", Data: []byte(`{"Colour":"blue"}`)}))
	r, err := room.At(ctx, log, eventlog.Query{Stream: "room/1"})
	fmt.Println(r.Colour, err)
	// Output: blue <nil>
}

// Causes are kept with the events that they led to.
func ExampleMeta() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	for cause := range each(log.Read(ctx, eventlog.Query{Stream: "room/1"})) {
		chain := eventlog.Meta{Correlation: cause.Commit(), Causation: cause.ID}
		must(log.Append(ctx, "kitchen", &eventlog.AppendOptions{Meta: chain}, eventlog.Raw{Type: "kitchen.breakfast", Data: []byte(`{}`)}))

		for r := range each(log.Read(ctx, eventlog.Query{Correlation: cause.Commit()})) {
			fmt.Println(r.Type, r.Meta.Causation == cause.ID)
		}
	}
	// Output: kitchen.breakfast true
}
