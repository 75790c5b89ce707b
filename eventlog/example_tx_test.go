package eventlog_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// A transaction sees what it appended.
func ExampleTx() {
	log := open(nil)
	defer log.Close()
	_, err := log.Update(context.Background(), func(tx *eventlog.Tx) error {
		tx.Meta().Actor = "reception"
		for _, guest := range []string{"ada", "bob"} {
			if err := Book(tx, "room/1", guest); err != nil {
				fmt.Println(err)
			}
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// room/1: the room is taken by ada
	// <nil>
}

// A savepoint that fails leaves the rest of the transaction as it was.
func ExampleTx_Savepoint() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/2", nil, Booked{"eve"}))

	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
		for _, stream := range []string{"room/1", "room/2", "room/3"} {
			err := tx.Savepoint(func() error {
				if err := tx.Append(stream, Painted{"blue"}); err != nil {
					return err
				}
				return Book(tx, stream, "ada")
			})
			if err != nil && !errors.Is(err, ErrTaken) {
				return err
			}
		}
		return nil
	})
	fmt.Println(err)
	for r := range each(log.Read(ctx, eventlog.Query{Types: []string{"hotel.painted"}})) {
		fmt.Println("painted:", r.Stream)
	}
	// Output:
	// <nil>
	// painted: room/1
	// painted: room/3
}

// One transaction does work for two chains, each known by the letter that began
// it; each event belongs to its own.
func ExampleTx_Scope() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	letters := []eventlog.ID{{1}, {2}}
	must(log.Update(ctx, func(tx *eventlog.Tx) error {
		for i, letter := range letters {
			err := tx.Scope(eventlog.Meta{Correlation: letter}, func() error {
				tx.Meta().Actor = fmt.Sprint("clerk ", i)
				return Book(tx, fmt.Sprint("{hotel}/room/", i), "ada")
			})
			if err != nil {
				return err
			}
		}
		return tx.Append("{hotel}/mail", eventlog.Raw{Type: "hotel.answered", Data: []byte(`{}`)})
	}))
	for r := range each(log.Read(ctx, eventlog.Query{Correlation: letters[1]})) {
		fmt.Println(r.Type, r.Stream, r.Meta.Actor)
	}
	// Output: hotel.booked {hotel}/room/1 clerk 1
}

// Once makes a transaction idempotent: what comes twice is done once.
func ExampleTx_Once() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	handle := func(message string) {
		must(log.Update(ctx, func(tx *eventlog.Tx) error {
			done, err := tx.Once("room/1", message)
			if done || err != nil {
				return err
			}
			return tx.Append("room/1", Painted{"blue"})
		}))
	}
	handle("message-1")
	handle("message-1")
	r := must(room.At(ctx, log, eventlog.Query{Stream: "room/1"}))
	for s := range each(log.Streams(ctx, "room/1")) {
		fmt.Println(s.Version, r.Colour)
	}
	// Output: 1 blue
}

// A tag is a condition over many streams: no two guests have one passport, in
// whichever room they are.
func ExampleTx_Read() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()

	check := func(stream, guest, passport string) error {
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
			// {hotel} puts its rooms into one shard, so this costs one look-up.
			q := eventlog.Query{Tag: "passport/" + passport, Shards: []int{log.ShardOf(stream)}}
			for r, err := range tx.Read(q) {
				if err != nil {
					return err
				}
				return fmt.Errorf("passport %s is in %s", passport, r.Stream)
			}
			return tx.Append(stream, eventlog.Tagged(Booked{guest}, "passport/"+passport))
		})
		return err
	}
	fmt.Println(check("{hotel}/room/1", "ada", "X1"))
	fmt.Println(check("{hotel}/room/2", "mallory", "X1"))
	// Output:
	// <nil>
	// passport X1 is in {hotel}/room/1
}
