package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// The events of a hotel room, and the state that they fold into.
type (
	Booked  struct{ Guest string }
	Left    struct{ Guest string }
	Painted struct{ Colour string }

	Room struct {
		Guest  string
		Colour string
	}
)

func (Booked) EventType() string  { return "hotel.booked" }
func (Left) EventType() string    { return "hotel.left" }
func (Painted) EventType() string { return "hotel.painted" }

var room = eventlog.Model[Room]{Name: "room", Version: 1, Folds: eventlog.Folds[Room]{
	eventlog.On(func(r *Room, e Booked) { r.Guest = e.Guest }),
	eventlog.On(func(r *Room, e Left) { r.Guest = "" }),
	eventlog.On(func(r *Room, e Painted) { r.Colour = e.Colour }),
}}

var ErrTaken = errors.New("the room is taken")

// Book decides on what the room is now. Whoever writes takes the Tx first.
func Book(tx *eventlog.Tx, stream, guest string) error {
	r, err := room.Load(tx, stream)
	if err != nil {
		return err
	}
	if r.Guest != "" {
		return fmt.Errorf("%s: %w by %s", stream, ErrTaken, r.Guest)
	}
	return tx.Append(stream, Booked{guest})
}

// open is eventlog.Open in memory. Outside of tests the log would be in a
// directory: pebblelog.Open("data/log", nil).
func open(o *eventlog.Options) *eventlog.Log {
	return must(eventlog.Open(context.Background(), memlog.Open(), o))
}

// must and each panic where a program would handle the error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func each[T any](seq iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v, err := range seq {
			if !yield(must(v, err)) {
				return
			}
		}
	}
}

func Example() {
	ctx := context.Background()
	log, err := eventlog.Open(ctx, memlog.Open(), nil) // pebblelog.Open("data/log", nil) keeps it
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()

	for _, guest := range []string{"ada", "bob"} {
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error { return Book(tx, "room/7", guest) })
		fmt.Println(guest, "-", err)
	}
	for r, err := range log.Read(ctx, eventlog.Query{Stream: "room/7"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s version %d: %s %s\n", r.Stream, r.Version, r.Type, r.Data)
	}
	// Output:
	// ada - <nil>
	// bob - room/7: the room is taken by ada
	// room/7 version 1: hotel.booked {"Guest":"ada"}
}
