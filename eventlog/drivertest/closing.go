package drivertest

import (
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var closePromises = []promise{
	{"Closed", "After Close every call returns ErrClosed, Close too.", testClosed},
	{"CloseWaits", "Close waits for the Writes under way; each is answered, those that come later with ErrClosed.", testCloseWaits},
	{"CloseInIteration", "Close may come in the middle of an iteration; that ends, with ErrClosed if it does not end by itself.", testCloseInIteration},
	{"CloseEndsWatch", "Close ends a Watch.", testCloseEndsWatch},
	{"Exclusive", "Exclusive says the same at any time.", testExclusive},
}

func testClosed(t *testing.T, log driver.Log) {
	iterable(t, log)
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	ctx := t.Context()
	calls := map[string]error{
		"Write": log.Write(ctx, request([]driver.Batch{batch(5, 1, "a")})),
		"Close": log.Close(),
	}
	_, calls["Tail"] = log.Tail(ctx, 0)
	for _, it := range append(iterations(ctx, log), iteration{"Watch", untyped(log.Watch(ctx))}) {
		prompt(t, it.name+" of a closed store", func() {
			n, err := ended(t, it, nil)
			if n != 0 {
				t.Errorf("%s yields %d items", it.name, n)
			}
			calls[it.name] = err
		})
	}
	for name, err := range calls {
		if !errors.Is(err, driver.ErrClosed) {
			t.Errorf("%s returns %v, expected ErrClosed", name, err)
		}
	}
}

func testCloseWaits(t *testing.T, log driver.Log) { closeUnderLoad(t, log) }

// closeUnderLoad closes the log while others write, each its own shard, and
// returns the acknowledged tails of the shards. Where a writer got ErrUnknown
// one more commit may be there.
func closeUnderLoad(t *testing.T, log driver.Log) (acked []driver.Revision, unknown []bool) {
	t.Helper()
	const writers, before = 8, 40
	acked, unknown = make([]driver.Revision, writers), make([]bool, writers)
	var n atomic.Int32
	enough := make(chan struct{})
	together(t, writers+1, func(i int) error {
		if i == writers {
			<-enough
			return log.Close()
		}
		for {
			err := log.Write(t.Context(), request([]driver.Batch{batch(i, acked[i]+1, text(acked[i]+1))}))
			switch {
			case err == nil:
				acked[i]++
				if n.Add(1) == before {
					close(enough)
				}
				continue
			case errors.Is(err, driver.ErrUnknown):
				unknown[i] = true
			case !errors.Is(err, driver.ErrClosed):
				return fmt.Errorf("write while the store closes: %w", err)
			}
			return nil
		}
	})
	return acked, unknown
}

func testCloseInIteration(t *testing.T, log driver.Log) {
	iterable(t, log)
	var under []func() (any, error, bool)
	for _, it := range iterations(t.Context(), log) {
		next, stop := iter.Pull2(it.seq)
		defer stop()
		if _, err, ok := next(); err != nil || !ok {
			t.Fatalf("%s: %v", it.name, err)
		}
		under = append(under, next)
	}
	prompt(t, "Close while iterations are under way", func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for i, next := range under {
		items := 1
		for {
			_, err, more := next()
			if err != nil && !errors.Is(err, driver.ErrClosed) {
				t.Errorf("iteration %d ends with %v, expected ErrClosed", i, err)
			}
			if err != nil || !more {
				if err == nil && items != iterated {
					t.Errorf("iteration %d ends without error after %d items of %d", i, items, iterated)
				}
				break
			}
			items++
		}
	}
}

func testCloseEndsWatch(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"))
	done := make(chan error, 1)
	go func() {
		var last error
		for _, err := range log.Watch(t.Context()) {
			last = err
		}
		done <- last
	}()
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	prompt(t, "Watch of a closed store", func() {
		if err := <-done; err != nil && !errors.Is(err, driver.ErrClosed) {
			t.Errorf("Watch ends with %v, expected ErrClosed", err)
		}
	})
}

func testExclusive(t *testing.T, log driver.Log) {
	before := log.Exclusive()
	write(t, log, batch(0, 1, "a"))
	equal(t, "Exclusive", log.Exclusive(), before)
}
