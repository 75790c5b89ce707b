package saga_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type Booking struct {
	Guest  string
	Hotel  string
	Flight string
}

type Booked struct{ Guest string }
type Cancelled struct{ Guest string }

func (Booked) EventType() string    { return "travel.booked" }
func (Cancelled) EventType() string { return "travel.cancelled" }

// booking books a hotel and a flight. Fully booked flights are refused, and then
// the hotel is cancelled.
var booking = saga.Saga[Booking]{Name: "booking", Version: 1, Steps: saga.Steps[Booking]{{
	Name: "hotel",
	On:   func(b *Booking) string { return "hotel/" + b.Hotel },
	Do:   func(tx *eventlog.Tx, b *Booking) error { return tx.Append("hotel/"+b.Hotel, Booked{b.Guest}) },
	Undo: func(tx *eventlog.Tx, b *Booking) error { return tx.Append("hotel/"+b.Hotel, Cancelled{b.Guest}) },
}, {
	Name: "flight",
	On:   func(b *Booking) string { return "flight/" + b.Flight },
	Do: func(tx *eventlog.Tx, b *Booking) error {
		for _, err := range tx.Read(eventlog.Query{Stream: "flight/" + b.Flight}) {
			if err != nil {
				return err
			}
			return outbox.Abort(fmt.Errorf("flight %s has but one seat", b.Flight))
		}
		return tx.Append("flight/"+b.Flight, Booked{b.Guest})
	},
}}}

// begin starts bookings and runs them to their ends.
func begin(bookings map[string]Booking) *eventlog.Log {
	ctx := context.Background()
	log, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		panic(err)
	}
	runner := &outbox.Runner{Log: log, Handlers: booking.Handlers()}
	for _, id := range []string{"1", "2"} {
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error { return booking.Start(tx, id, bookings[id]) })
		if err != nil {
			panic(err)
		}
		if err := runner.Drain(ctx); err != nil { // a service calls Run
			panic(err)
		}
	}
	return log
}

func ExampleSaga() {
	log := begin(map[string]Booking{
		"1": {"ann", "ritz", "BA1"},
		"2": {"bob", "ritz", "BA1"},
	})
	defer log.Close()
	ctx := context.Background()
	for st, err := range booking.Instances(ctx, log) {
		if err != nil {
			panic(err)
		}
		fmt.Println(st.ID, st.State, st.Refused, st.Err)
	}
	for r, err := range log.Read(ctx, eventlog.Query{Stream: "hotel/ritz"}) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %s\n", r.Type, r.Data)
	}
	// Output:
	// 1 completed  <nil>
	// 2 compensated flight flight BA1 has but one seat
	// travel.booked {"Guest":"ann"}
	// travel.booked {"Guest":"bob"}
	// travel.cancelled {"Guest":"bob"}
}

func ExampleStatus() {
	log := begin(map[string]Booking{"1": {"ann", "ritz", "BA1"}, "2": {"bob", "ritz", "BA1"}})
	defer log.Close()
	var st saga.Status[Booking]
	st, err := booking.Status(context.Background(), log, "1")
	fmt.Println(st.State, st.Data.Guest, st.Done, err)
	// Output:
	// completed ann [hotel flight] <nil>
}

func ExampleSaga_Await() {
	log := begin(map[string]Booking{"1": {"ann", "ritz", "BA1"}, "2": {"bob", "ritz", "BA2"}})
	defer log.Close()
	st, err := booking.Await(context.Background(), log, "2")
	fmt.Println(st.State, st.Data.Flight, st.Done, err)
	// Output:
	// completed BA2 [hotel flight] <nil>
}

func ExampleState() {
	for _, s := range []saga.State{saga.Running, saga.Compensating, saga.Completed, saga.Compensated} {
		fmt.Println(s, s.Ended())
	}
	// Output:
	// running false
	// compensating false
	// completed true
	// compensated true
}
