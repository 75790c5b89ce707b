package drivertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var iterationPromises = []promise{
	{"ContextDone", "An iteration whose ctx is done yields ctx's error with a zero value, and so does Tail.", testContextDone},
	{"ContextEnds", "An iteration whose ctx ends in the middle ends with ctx's error.", testContextEnds},
	{"IterationDropped", "An iteration may be dropped at any time, also before it begins; it holds nothing.", testIterationDropped},
	{"IterationWrites", "A caller may write and read in the middle of an iteration.", testIterationWrites},
	{"IterationInterleaved", "Any number of iterations may be under way, in one goroutine too.", testIterationInterleaved},
}

// An iteration is one of the methods that iterate, its items without their
// types.
type iteration struct {
	name string
	seq  iter.Seq2[any, error]
}

const iterated = 40 // items of each iteration over a store that iterable filled

// iterable fills the store, so that each iteration of shard 0 has many items.
func iterable(t *testing.T, log driver.Log) {
	t.Helper()
	fill(t, log, 0, iterated)
	c := driver.Commit{Revision: iterated + 1}
	var ops []driver.CellOp
	for i := range iterated {
		c.Keys = append(c.Keys, driver.Key{Name: fmt.Sprintf("key/%02d", i), Pos: 1})
		ops = append(ops, put(fmt.Sprintf("cell/%02d", i), fmt.Sprint("value ", i), 1))
	}
	write(t, log, driver.Batch{First: iterated + 1, Commits: []driver.Commit{c}})
	writeCells(t, log, ops...)
}

func iterations(ctx context.Context, log driver.Log) []iteration {
	back := driver.Range{Backward: true}
	return []iteration{
		{"Read", untyped(log.Read(ctx, 0, driver.Range{To: iterated + 1}))},
		{"Read backward", untyped(log.Read(ctx, 0, driver.Range{To: iterated + 1, Backward: true}))},
		{"Find", untyped(log.Find(ctx, 0, "all", driver.Range{}))},
		{"Find backward", untyped(log.Find(ctx, 0, "all", back))},
		{"Keys", untyped(log.Keys(ctx, 0, "key/", ""))},
		{"Cells", untyped(log.Cells(ctx, "cell/", "cell0", 0))},
	}
}

func untyped[T any](seq iter.Seq2[T, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for item, err := range seq {
			if !yield(item, err) {
				return
			}
		}
	}
}

// ended counts the items of an iteration and returns the error that it ended
// with.
func ended(t *testing.T, it iteration, each func(n int)) (n int, err error) {
	t.Helper()
	for item, e := range it.seq {
		switch {
		case err != nil:
			t.Errorf("%s yields %v, %v behind the error %v", it.name, item, e, err)
			return n, err
		case e != nil:
			err = e
		default:
			n++
			if each != nil {
				each(n)
			}
		}
	}
	return n, err
}

func testContextDone(t *testing.T, log driver.Log) {
	iterable(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Tail(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Tail: %v, expected ctx's error", err)
	}
	for _, it := range iterations(ctx, log) {
		if n, err := ended(t, it, nil); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %d items, then %v; expected only ctx's error", it.name, n, err)
		}
	}
	for c, err := range log.Read(ctx, 0, driver.Range{}) {
		if c.Revision != 0 || c.Data != nil || err == nil {
			t.Errorf("Read yields %+v with %v, expected a zero value", c, err)
		}
	}
}

func testContextEnds(t *testing.T, log driver.Log) {
	iterable(t, log)
	for i := range iterations(t.Context(), log) {
		ctx, cancel := context.WithCancel(t.Context())
		it := iterations(ctx, log)[i]
		n, err := ended(t, it, func(n int) {
			if n == 3 {
				cancel()
			}
		})
		if n < 3 || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled at its third item: ended after %d with %v, expected ctx's error", it.name, n, err)
		}
		cancel()
	}
}

func testIterationDropped(t *testing.T, log driver.Log) {
	iterable(t, log)
	for round := range 50 {
		for _, it := range iterations(t.Context(), log) {
			left := round % 4
			for _, err := range it.seq {
				if err != nil {
					t.Fatalf("%s: %v", it.name, err)
				}
				if left--; left < 0 {
					break
				}
			}
		}
		for _, it := range iterations(t.Context(), log) {
			next, stop := iter.Pull2(it.seq)
			if round%2 == 0 {
				next()
			}
			stop()
		}
		_ = iterations(t.Context(), log) // never begun
	}
	write(t, log, batch(0, tail(t, log, 0)+1, "behind"))
	prompt(t, "Close after dropped iterations", func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func testIterationWrites(t *testing.T, log driver.Log) {
	iterable(t, log)
	version := uint64(1)
	for _, it := range iterations(t.Context(), log) {
		prompt(t, "writes inside "+it.name, func() {
			n, err := ended(t, it, func(n int) {
				version++
				next := tail(t, log, 0) + 1
				k := driver.Key{Name: "inside", Pos: uint64(next)}
				if err := log.Write(t.Context(), request([]driver.Batch{keyed(0, next, "inside", k)}, put("inside", it.name, version))); err != nil {
					t.Errorf("write: %v", err)
				}
				if got := tail(t, log, 0); got != next {
					t.Errorf("tail %d, expected %d", got, next)
				}
			})
			if n != iterated || err != nil {
				t.Errorf("%s: %d items and %v, expected %d", it.name, n, err, iterated)
			}
		})
	}
	// An open read may go on with what is written meanwhile, and has no holes.
	want, last := driver.Revision(1), tail(t, log, 0)
	for c, err := range log.Read(t.Context(), 0, driver.Range{}) {
		if err != nil || c.Revision != want {
			t.Fatalf("revision %d and %v, expected %d", c.Revision, err, want)
		}
		if want++; c.Revision <= last {
			write(t, log, batch(0, tail(t, log, 0)+1, "inside"))
		}
	}
	if want <= last {
		t.Errorf("the read ended at %d, before what was there when it began: %d", want-1, last)
	}
}

func testIterationInterleaved(t *testing.T, log driver.Log) {
	iterable(t, log)
	var pulls []func() (any, error, bool)
	for range 5 {
		for _, it := range iterations(t.Context(), log) {
			next, stop := iter.Pull2(it.seq)
			defer stop()
			pulls = append(pulls, next)
		}
	}
	for i := range iterated + 1 {
		for j, next := range pulls {
			_, err, more := next()
			if err != nil || more != (i < iterated) {
				t.Fatalf("iteration %d at item %d: more %v, %v", j, i, more, err)
			}
		}
	}
}
