package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// Of many guests who want one room at the same moment one gets it, and nobody
// holds a lock.
func ExampleLog() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()

	var booked, refused int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for guest := range 10 {
		wg.Go(func() {
			_, err := log.Update(ctx, func(tx *eventlog.Tx) error { return Book(tx, "room/7", fmt.Sprint(guest)) })
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrTaken) {
				refused++
			} else if err == nil {
				booked++
			}
		})
	}
	wg.Wait()
	fmt.Println(booked, "booked,", refused, "refused")
	// Output: 1 booked, 9 refused
}

// A change of two streams happens at one moment, or not at all: here a guest
// moves.
func ExampleLog_Update() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()

	move := func(guest, from, to string) error {
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
			if err := tx.Append(from, Left{guest}); err != nil {
				return err
			}
			return Book(tx, to, guest) // when this fails, nothing of it is written
		})
		return err
	}
	must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	must(log.Append(ctx, "room/2", nil, Booked{"bob"}))
	fmt.Println(move("ada", "room/1", "room/2"))
	fmt.Println(move("ada", "room/1", "room/3"))
	for s := range each(log.Streams(ctx, "room/")) {
		fmt.Println(s.Stream, "at version", s.Version)
	}
	// Output:
	// room/2: the room is taken by bob
	// <nil>
	// room/1 at version 2
	// room/2 at version 1
	// room/3 at version 1
}

// What a View reads was true at one moment.
func ExampleLog_View() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	must(log.Append(ctx, "room/2", nil, Painted{"green"}))

	var colours []string
	err := log.View(ctx, func(tx *eventlog.Tx) error {
		colours = nil // the function may run again
		for _, stream := range []string{"room/1", "room/2"} {
			r, err := room.Load(tx, stream)
			if err != nil {
				return err
			}
			colours = append(colours, r.Colour)
		}
		return nil
	})
	fmt.Println(strings.Join(colours, ", "), err)
	// Output: blue, green <nil>
}

// An append that is repeated with its id does nothing.
func ExampleLog_Append() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()

	request := &eventlog.AppendOptions{ID: "request-1"}
	first := must(log.Append(ctx, "room/1", request, Painted{"blue"}))
	again := must(log.Append(ctx, "room/1", request, Painted{"blue"})) // the answer was lost, say
	fmt.Println(first.String() == again.String())

	_, err := log.Append(ctx, "room/1", request, Painted{"green"})
	fmt.Println(errors.Is(err, eventlog.ErrIDReused))
	// Output:
	// true
	// true
}

// OnCommit rings a doorbell after each durable write.
func ExampleLog_OnCommit() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()

	bell := make(chan driver.Head, 1)
	remove := log.OnCommit(func(h driver.Head) {
		select {
		case bell <- h:
		default: // it rings already
		}
	})
	defer remove()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	h := <-bell
	fmt.Println(h.Shard == log.ShardOf("room/1"), h.Revision)
	// Output: true 1
}
