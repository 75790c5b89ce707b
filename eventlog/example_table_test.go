package eventlog_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// Rate is an entity that is no history: only its present value is kept.
type Rate struct{ Cents int }

var rates = eventlog.Table[Rate]{Name: "rates"}

// Rows are read and written in the same transaction as events: who books at a
// rate books at the one that holds at that moment.
func ExampleTable() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Update(ctx, func(tx *eventlog.Tx) error {
		if err := rates.Put(tx, "suite", Rate{19900}); err != nil {
			return err
		}
		return rates.Put(tx, "single", Rate{8900})
	}))
	must(log.Update(ctx, func(tx *eventlog.Tx) error {
		rate, ok, err := rates.Get(tx, "single")
		if err != nil || !ok {
			return err
		}
		fmt.Println("single:", rate.Cents)
		if err := rates.Delete(tx, "suite"); err != nil {
			return err
		}
		return tx.Append("room/1", Booked{"ada"})
	}))
	err := log.View(ctx, func(tx *eventlog.Tx) error {
		for row, err := range rates.All(tx, "") {
			if err != nil {
				return err
			}
			fmt.Println(row.Key, row.Value.Cents)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// single: 8900
	// single 8900
	// <nil>
}
