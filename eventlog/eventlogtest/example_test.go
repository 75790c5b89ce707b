package eventlogtest_test

import (
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

type Booked struct{ Guest string }
type Left struct{ Guest string }
type Room struct{ Guests int }

func (Booked) EventType() string { return "hotel.booked" }
func (Left) EventType() string   { return "hotel.left" }

var room = eventlog.Model[Room]{Name: "room", Version: 1, Folds: eventlog.Folds[Room]{
	eventlog.On(func(r *Room, e Booked) { r.Guests++ }),
	eventlog.On(func(r *Room, e Left) { r.Guests-- }),
}}

// A FullError says which room is full.
type FullError struct{ Room string }

func (e *FullError) Error() string { return e.Room + " is full" }

// Book is a function under test.
func Book(stream, guest string) func(tx *eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		r, err := room.Load(tx, stream)
		if err != nil {
			return err
		}
		if r.Guests == 2 {
			return &FullError{stream}
		}
		return tx.Append(stream, Booked{guest})
	}
}

// Move is another one.
func Move(from, to, guest string) func(tx *eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		if err := tx.Append(from, Left{guest}); err != nil {
			return err
		}
		return Book(to, guest)(tx)
	}
}

func ExampleGiven() {
	test := func(t testing.TB) {
		eventlogtest.Given(t, &room, "room/1", Booked{"ada"}).
			When(Book("room/1", "bob")).
			Then(Booked{"bob"}).
			ThenState(Room{Guests: 2})

		eventlogtest.Given(t, &room, "room/1", Booked{"ada"}, Booked{"bob"}).
			When(Book("room/1", "eve")).
			ThenErrorAs(new(*FullError))

		eventlogtest.Given(t, &room, "room/1", Booked{"ada"}, Booked{"bob"}).
			And("room/2", Booked{"eve"}).
			When(Move("room/1", "room/2", "bob")).
			Then(Left{"bob"}).
			ThenIn("room/2", Booked{"bob"}).
			ThenStateIn("room/2", Room{Guests: 2})
	}
	fmt.Println("failures:", len(watch(test).failures)) // go test does this for you
	// Output: failures: 0
}
