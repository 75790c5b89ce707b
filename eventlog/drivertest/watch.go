package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var watchPromises = []promise{
	{"WatchHeads", "Watch yields heads that are durable, and some time the last one of each shard; a store that cannot know yields nothing and returns.", testWatchHeads},
	{"WatchEnds", "Watch ends when ctx does, with no other error than ctx's.", testWatchEnds},
	{"WatchDropped", "A Watch that is dropped, or whose reader is slow, holds up nobody.", testWatchDropped},
}

func testWatchHeads(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "before"))
	watched(t, log, log)
}

// watched watches on one handle until a head of each of two shards has arrived
// that was written meanwhile through the other handle.
func watched(t *testing.T, watcher, writer driver.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	heard := make(chan driver.Head)
	ended := make(chan error, 1)
	go func() { ended <- watch(ctx, watcher, heard) }()

	want := map[int]driver.Revision{0: 0, 7: 0} // what must be heard of
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for shard := range want {
		want[shard] = tail(t, writer, shard) + 1
		write(t, writer, batch(shard, want[shard], "watched"))
	}
	for len(want) > 0 {
		select {
		case h := <-heard:
			if h.Revision >= want[h.Shard] {
				delete(want, h.Shard)
			}
		case err := <-ended:
			if err != nil {
				t.Errorf("Watch ended with %v; waiting for %v", err, want)
			}
			return // a store that cannot know
		case <-again.C: // Watch may not have listened yet
			for shard := range want {
				write(t, writer, batch(shard, tail(t, writer, shard)+1, "watched"))
			}
		}
	}
	cancel()
	for {
		select {
		case <-heard:
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch ended with %v, expected ctx's error", err)
			}
			return
		}
	}
}

// watch passes on the heads that it checks; it returns how Watch ended.
func watch(ctx context.Context, log driver.Log, heard chan<- driver.Head) error {
	n := 0
	for h, err := range log.Watch(ctx) {
		if err != nil {
			return err
		}
		n++
		tail, err := log.Tail(context.WithoutCancel(ctx), h.Shard)
		if err != nil {
			return err
		}
		if h.Revision > tail || h.Revision == 0 {
			return fmt.Errorf("head %d of shard %d, whose tail is %d", h.Revision, h.Shard, tail)
		}
		select {
		case heard <- h:
		case <-ctx.Done():
		}
	}
	if n > 0 {
		return errors.New("no error, though heads were yielded")
	}
	return nil
}

func testWatchEnds(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	prompt(t, "Watch with a ctx that is done", func() {
		for h, err := range log.Watch(ctx) {
			if err == nil {
				continue
			}
			if !errors.Is(err, context.Canceled) || h != (driver.Head{}) {
				t.Errorf("Watch yields %v, %v; expected ctx's error", h, err)
			}
		}
	})
	ctx, cancel = context.WithCancel(t.Context())
	prompt(t, "Watch whose ctx ends meanwhile", func() {
		time.AfterFunc(time.Millisecond, cancel)
		for _, err := range log.Watch(ctx) {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Watch yields %v, expected ctx's error", err)
			}
		}
	})
	cancel()
}

func testWatchDropped(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"))
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(time.Millisecond, cancel) // where no head comes
		for range log.Watch(ctx) {
			break
		}
		stop.Stop()
		cancel()
	}
	slow(t, log)
}

// slow writes while the reader of a Watch is stuck with a head.
func slow(t *testing.T, log driver.Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stuck, release, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		hold := sync.OnceFunc(func() {
			close(stuck)
			<-release
		})
		for range log.Watch(ctx) {
			hold()
		}
	}()
	defer prompt(t, "end of the slow watcher", func() {
		close(release)
		cancel()
		<-left
	})
	prompt(t, "writes while a watcher is slow", func() {
		for listening := false; !listening; {
			write(t, log, batch(0, tail(t, log, 0)+1, "b"))
			select {
			case <-stuck:
				listening = true
			case <-left: // a store that cannot know
				listening = true
			case <-time.After(time.Millisecond):
			}
		}
		for range 100 {
			write(t, log, batch(0, tail(t, log, 0)+1, "b"))
		}
	})
}
