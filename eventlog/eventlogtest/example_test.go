package eventlogtest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

type Booked struct{ Guest string }
type Room struct{ Guests int }

func (Booked) EventType() string { return "hotel.booked" }

var room = eventlog.Model[Room]{Name: "room", Version: 1, Folds: eventlog.Folds[Room]{
	eventlog.On(func(r *Room, e Booked) { r.Guests++ }),
}}

var ErrFull = errors.New("room is full")

// Book is the function under test.
func Book(stream, guest string) func(tx *eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		r, err := room.Load(tx, stream)
		if err != nil {
			return err
		}
		if r.Guests == 2 {
			return ErrFull
		}
		return tx.Append(stream, Booked{guest})
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
			ThenError(ErrFull)
	}
	fmt.Println("failures:", len(watch(test).failures)) // go test does this for you
	// Output: failures: 0
}
