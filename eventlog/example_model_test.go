package eventlog_test

import (
	"context"
	"fmt"
	"maps"

	"github.com/rollforward/rollforward/eventlog"
)

// Ledger holds a map, so it says how it is copied. Without Clone it would be
// folded anew at each Load.
type Ledger struct{ Nights map[string]int }

func (l Ledger) Clone() Ledger { return Ledger{maps.Clone(l.Nights)} }

var ledger = eventlog.Model[Ledger]{Name: "ledger", Version: 1, Folds: eventlog.Folds[Ledger]{
	eventlog.On(func(l *Ledger, e Booked) {
		if l.Nights == nil {
			l.Nights = make(map[string]int)
		}
		l.Nights[e.Guest]++
	}),
}, Else: func(*Ledger, eventlog.Record) error { return nil }} // other events do not matter here

func ExampleModel() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}, Painted{"blue"}, Booked{"bob"}, Booked{"ada"}))
	err := log.View(ctx, func(tx *eventlog.Tx) error {
		l, err := ledger.Load(tx, "room/1")
		if err != nil {
			return err
		}
		fmt.Println(l.Nights)
		return nil
	})
	fmt.Println(err)
	// Output:
	// map[ada:2 bob:1]
	// <nil>
}

// The state as it was at a version, and at a time.
func ExampleModel_At() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}, Booked{"ada"}))
	then := log.Now()
	must(log.Append(ctx, "room/1", nil, Left{"ada"}, Painted{"green"}))

	for _, q := range []eventlog.Query{{To: 1}, {Until: then}, {}} {
		q.Stream = "room/1"
		r := must(room.At(ctx, log, q))
		fmt.Printf("%q in a %s room\n", r.Guest, r.Colour)
	}
	// Output:
	// "" in a blue room
	// "ada" in a blue room
	// "" in a green room
}

// Records of any reading can be folded, here those of a whole category.
func ExampleModel_Fold() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	must(log.Append(ctx, "room/2", nil, Booked{"ada"}, Booked{"bob"}))

	var all Ledger
	err := ledger.Fold(&all, log.Read(ctx, eventlog.Query{Category: "room"}))
	fmt.Println(all.Nights, err)
	// Output: map[ada:2 bob:1] <nil>
}
