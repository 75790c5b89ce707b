package eventlog_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
)

// The first version of Booked was called "booking" and held a plain string. Such
// events stay as they are in the log and are brought to the type of today when
// they are read.
func ExampleUpcast() {
	ctx := context.Background()
	log := open(&eventlog.Options{Upcasts: []eventlog.Upcast{{
		From: "booking", To: "hotel.booked",
		Func: func(data json.RawMessage) (json.RawMessage, error) {
			var guest string
			if err := json.Unmarshal(data, &guest); err != nil {
				return nil, err
			}
			return json.Marshal(Booked{guest})
		},
	}}})
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, eventlog.Raw{Type: "booking", Data: []byte(`"ada"`)})) // long ago
	for _, stored := range []bool{true, false} {
		for r := range each(log.Read(ctx, eventlog.Query{Stream: "room/1", Stored: stored})) {
			fmt.Printf("%s %s\n", r.Type, r.Data)
		}
	}
	// Output:
	// booking "ada"
	// hotel.booked {"Guest":"ada"}
}

// Events of a type may be encoded in another way than JSON.
func ExampleCodec() {
	gobs := eventlog.Codec{
		Name: "gob", // stored with each event
		Marshal: func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
		Unmarshal: func(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) },
	}
	ctx := context.Background()
	log := open(&eventlog.Options{Codecs: map[string]eventlog.Codec{"hotel.booked": gobs}})
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}, Painted{"blue"}))
	for r := range each(log.Read(ctx, eventlog.Query{Stream: "room/1"})) {
		fmt.Printf("%s %q\n", r.Type, r.Codec)
	}
	r, err := room.At(ctx, log, eventlog.Query{Stream: "room/1"})
	fmt.Println(r.Guest, r.Colour, err)
	// Output:
	// hotel.booked "gob"
	// hotel.painted ""
	// ada blue <nil>
}

// Metrics hang on the hooks.
func ExampleHooks() {
	ctx := context.Background()
	var events int
	log := open(&eventlog.Options{Hooks: eventlog.Hooks{
		Group: func(g eventlog.GroupInfo) { events += g.Events },
	}})
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}, Painted{"blue"}))
	fmt.Println(events, "events are durable")
	// Output: 2 events are durable
}

// What is fixed when a log is made cannot be another way later.
func ExampleOptions() {
	log := open(&eventlog.Options{Shards: 4, Index: eventlog.Index{Types: true}})
	defer log.Close()
	fmt.Println(log.Shards(), "shards")
	fmt.Println(log.ShardOf("room/{paris}/1") == log.ShardOf("{paris}/staff")) // a {group} stays together
	// Output:
	// 4 shards
	// true
}

func ExampleID() {
	id, err := eventlog.ParseID("0198c3f0-7b1e-7c4a-9d3e-000000000001")
	fmt.Println(id, err)
	_, err = eventlog.ParseID("ada")
	fmt.Println(err != nil)
	// Output:
	// 0198c3f0-7b1e-7c4a-9d3e-000000000001 <nil>
	// true
}

// Check reads a whole log and holds it against what the log promises.
func ExampleCheck() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	fmt.Println(eventlog.Check(ctx, log))
	// Output: <nil>
}

// Limits are errors with a name, before anything is written.
func ExampleLog_Append_limits() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	_, err := log.Append(ctx, "room/1", nil, Painted{strings.Repeat("blue ", 200_000)})
	fmt.Println(err)
	// Output: eventlog: append room/1: too large: event hotel.painted of 1000013 bytes, at most 800000
}
