package eventlog_test

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
)

// Whoever works through a shard waits for its next end, and reads up to there.
func ExampleLog_Tails() {
	ctx := context.Background()
	log := open(&eventlog.Options{Shards: 1})
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	read := uint64(0)
	for end, err := range log.Tails(ctx, 0) {
		if err != nil {
			fmt.Println(err)
			break
		}
		for r := range log.Read(ctx, eventlog.Query{Shards: []int{0}, From: read + 1, To: uint64(end)}) {
			fmt.Println(r.Stream, r.Version)
		}
		if read = uint64(end); read == 2 {
			break
		}
		must(log.Append(ctx, "room/1", nil, Booked{"ada"}))
	}
	// Output:
	// room/1 1
	// room/1 2
}

// A function that loads many streams has their states read beforehand, at the same time.
func ExampleModel_Prefetch() {
	ctx := context.Background()
	log := open(nil)
	defer log.Close()
	must(log.Append(ctx, "room/1", nil, Painted{"blue"}))
	rooms := []string{"room/1", "room/2", "room/3"}
	if err := room.Prefetch(ctx, log, rooms...); err != nil {
		fmt.Println(err)
	}
	_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
		for _, name := range rooms {
			r, err := room.Load(tx, name)
			if err != nil {
				return err
			}
			if r.Colour == "" {
				if err := tx.Append(name, Painted{"white"}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	fmt.Println(must(room.At(ctx, log, eventlog.Query{Stream: "room/3"})).Colour, err)
	// Output: white <nil>
}
