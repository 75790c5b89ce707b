package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// A movePromise is a promise of driver.Mover.
type movePromise struct {
	name    string
	promise string
	test    func(t *testing.T, log driver.Mover)
}

// Moves tests the promises of a log that moves Writes. open is as for Run.
func Moves(t *testing.T, open func(t *testing.T) driver.Mover) {
	t.Helper()
	for _, p := range movePromises {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			holds(t, p.promise)
			log := open(t)
			t.Cleanup(func() { _ = log.Close() })
			p.test(t, log)
		})
	}
}

var movePromises = []movePromise{
	{"MoveInPlace", "A Move whose places are free is a Write there: nothing is told, and a position 0 of a key is the revision.", testMoveInPlace},
	{"MovePasses", "A batch passes commits that carry no excluded name: it stands directly behind them, sealed to its place and time, and what it has passed is told.", testMovePasses},
	{"MoveExcluded", "When one of the commits to pass carries an excluded name, nothing of the Write happens in any shard.", testMoveExcluded},
	{"MoveTimes", "A commit keeps its time, or is a nanosecond later than one ahead of it; what has one time in several shards still has, and what is later still is.", testMoveTimes},
	{"MoveLatest", "A commit that is later than the Write's Latest is not passed; nothing of the Write happens.", testMoveLatest},
	{"MoveChecks", "A batch without commits passes what carries no excluded name, and refuses the Write otherwise.", testMoveChecks},
	{"MoveGap", "A batch that would leave a gap is refused with a TailError; nothing is written.", testMoveGap},
	{"MoveUntimed", "What has no time, and so is not eventlog's, is not passed.", testMoveUntimed},
	{"MoveMalformed", "What cannot be moved is refused, also where its places are free; nothing is written.", testMoveMalformed},
	{"MoveCancelled", "When ctx is done, nothing is written.", testMoveCancelled},
	{"MoveRace", "Of many who move into the same shards each has its commits there once, in its order.", testMoveRace},
}

// own is a commit as eventlog makes them, with this text behind its head.
func own(shard int, rev driver.Revision, time int64, text string, keys ...driver.Key) driver.Commit {
	data := append(make([]byte, seal.Least), text...)
	seal.Set(data, shard, uint64(rev), time)
	return driver.Commit{Revision: rev, Data: data, Time: time, Keys: keys}
}

// owns is a batch of such commits. unless are its excluded names.
func owns(unless []string, shard int, commits ...driver.Commit) driver.Batch {
	return driver.Batch{Shard: shard, First: commits[0].Revision, Commits: commits, Unless: unless}
}

func at(name string, pos uint64) driver.Key { return driver.Key{Name: name, Pos: pos} }

// stands checks that a commit with this text and time is at a place, sealed to it.
func stands(t *testing.T, log driver.Log, shard int, rev driver.Revision, time int64, text string) {
	t.Helper()
	list := collect(t, log.Read(t.Context(), shard, driver.Range{From: uint64(rev), To: uint64(rev) + 1}))
	if len(list) != 1 {
		t.Fatalf("shard %d revision %d: %d commits", shard, rev, len(list))
	}
	equal(t, fmt.Sprintf("shard %d revision %d", shard, rev), list[0].Data, own(shard, rev, time, text).Data)
}

// found checks at which revisions a key is found.
func found(t *testing.T, log driver.Log, shard int, key string, want ...driver.Revision) {
	t.Helper()
	var have []driver.Revision
	for _, c := range collect(t, log.Find(t.Context(), shard, key, driver.Range{})) {
		have = append(have, c.Revision)
	}
	equal(t, fmt.Sprintf("shard %d, key %q", shard, key), have, want)
}

func move(t *testing.T, log driver.Mover, batches ...driver.Batch) []driver.Moved {
	t.Helper()
	moved, err := log.Move(t.Context(), request(batches))
	if err != nil {
		t.Fatalf("move: %v", err)
	}
	return moved
}

// passes checks how many commits each batch has passed.
func passes(t *testing.T, moved []driver.Moved, want ...int) {
	t.Helper()
	var have []int
	for _, m := range moved {
		have = append(have, len(m.Passed.Commits))
	}
	if !slices.Equal(have, want) {
		t.Fatalf("passed %v, expected %v", have, want)
	}
}

// refusedMove checks that a Move is refused and nothing is written.
func refusedMove(t *testing.T, log driver.Mover, w driver.Write) error {
	t.Helper()
	before := look(t, log, 0, 1, 2)
	_, err := log.Move(t.Context(), w)
	if err == nil || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("a move that must be refused: %v", err)
	}
	equal(t, "state after a refused move", look(t, log, 0, 1, 2), before)
	return err
}

func testMoveInPlace(t *testing.T, log driver.Mover) {
	moved := move(t, log,
		owns([]string{"s"}, 0, own(0, 1, 10, "a", at("s", 7), at("tag", 0)), own(0, 2, 11, "b", at("s", 8), at("tag", 0))),
		owns(nil, 2, own(2, 1, 10, "a")))
	equal(t, "moved", moved, []driver.Moved(nil))
	stands(t, log, 0, 1, 10, "a")
	stands(t, log, 0, 2, 11, "b")
	stands(t, log, 2, 1, 10, "a")
	equal(t, "keys", collect(t, log.Keys(t.Context(), 0, "", "")), []driver.Key{at("s", 8), at("tag", 2)})
	found(t, log, 0, "tag", 1, 2)
}

func testMovePasses(t *testing.T, log driver.Mover) {
	write(t, log, owns(nil, 0, own(0, 1, 5, "a", at("other", 1))))
	write(t, log, owns(nil, 0, own(0, 2, 6, "b", at("other", 2), at("tag", 2))))
	got := move(t, log, owns([]string{"s", "t"}, 0, own(0, 1, 7, "c", at("s", 1), at("tag", 0)), own(0, 2, 9, "d", at("t", 4))))
	equal(t, "moved", got, []driver.Moved{{
		Passed: driver.Batch{Shard: 0, First: 1, Commits: []driver.Commit{
			{Revision: 1, Time: 5, Keys: []driver.Key{at("other", 1)}},
			{Revision: 2, Time: 6, Keys: []driver.Key{at("other", 2), at("tag", 2)}}}},
		Times: []int64{7, 9},
	}})
	stands(t, log, 0, 3, 7, "c")
	stands(t, log, 0, 4, 9, "d")
	found(t, log, 0, "s", 3)
	found(t, log, 0, "t", 4)
	found(t, log, 0, "tag", 2, 3)
	write(t, log, owns(nil, 0, own(0, 5, 10, "e"))) // the shard goes on behind
	passes(t, move(t, log, owns(nil, 0, own(0, 3, 11, "f"))), 3)
	stands(t, log, 0, 6, 11, "f")
}

func testMoveExcluded(t *testing.T, log driver.Mover) {
	write(t, log, owns(nil, 0, own(0, 1, 1, "a", at("first", 1)), own(0, 2, 2, "b", at("x", 1), at("second", 1)), own(0, 3, 3, "c", at("third", 1))))
	for _, name := range []string{"first", "second", "third"} {
		for _, list := range [][]string{{name}, {"u", name, "v"}, manyNames(name)} {
			w := request([]driver.Batch{owns(nil, 1, own(1, 1, 9, "new")), owns(list, 0, own(0, 1, 9, "new"))})
			if err := refusedMove(t, log, w); !errors.As(err, new(*driver.TailError)) {
				t.Errorf("refused with %v, expected a *driver.TailError", err)
			}
		}
	}
	passes(t, move(t, log, owns(manyNames("fourth"), 0, own(0, 1, 9, "new"))), 3)
	move(t, log, owns([]string{"first"}, 0, own(0, 2, 10, "behind it"))) // it knows that one
	stands(t, log, 0, 5, 10, "behind it")
}

// manyNames are more than anybody looks through one by one, with this one among them.
func manyNames(name string) (list []string) {
	for i := range 100 {
		list = append(list, fmt.Sprint("n", i))
	}
	return append(list, name)
}

func testMoveTimes(t *testing.T, log driver.Mover) {
	write(t, log, owns(nil, 0, own(0, 1, 100, "a")), owns(nil, 1, own(1, 1, 50, "a")))
	moved := move(t, log,
		owns(nil, 0, own(0, 1, 30, "p"), own(0, 2, 60, "q"), own(0, 3, 200, "r")),
		owns(nil, 1, own(1, 1, 40, "o"), own(1, 2, 60, "q")),
		owns(nil, 2, own(2, 1, 30, "p"), own(2, 2, 102, "s")))
	passes(t, moved, 1, 1, 0)
	for i, want := range [][]int64{{101, 103, 200}, {102, 103}, {101, 104}} {
		equal(t, "times", moved[i].Times, want)
	}
	stands(t, log, 0, 2, 101, "p")
	stands(t, log, 0, 3, 103, "q")
	stands(t, log, 0, 4, 200, "r")
	stands(t, log, 1, 2, 102, "o")
	stands(t, log, 1, 3, 103, "q")
	stands(t, log, 2, 1, 101, "p")
	stands(t, log, 2, 2, 104, "s")
}

func testMoveLatest(t *testing.T, log driver.Mover) {
	write(t, log, owns(nil, 0, own(0, 1, 100, "a")))
	until := func(latest int64) driver.Write {
		w := request([]driver.Batch{owns(nil, 1, own(1, 1, 90, "b")), owns(nil, 0, own(0, 1, 90, "b"))})
		w.Latest = latest
		return w
	}
	behind(t, refusedMove(t, log, until(99)), 0, 1)
	if _, err := log.Move(t.Context(), until(100)); err != nil {
		t.Fatal(err)
	}
	stands(t, log, 0, 2, 101, "b")
	stands(t, log, 1, 1, 101, "b")
}

func testMoveChecks(t *testing.T, log driver.Mover) {
	write(t, log, owns(nil, 0, own(0, 1, 1, "a", at("x", 1))))
	check := func(names ...string) driver.Batch { return driver.Batch{Shard: 0, First: 1, Unless: names} }
	if err := refusedMove(t, log, request([]driver.Batch{check("x"), owns(nil, 1, own(1, 1, 2, "b"))})); !errors.As(err, new(*driver.TailError)) {
		t.Errorf("refused with %v, expected a *driver.TailError", err)
	}
	moved := move(t, log, check("y"), owns(nil, 1, own(1, 1, 2, "b")))
	equal(t, "moved", moved, []driver.Moved{{Passed: driver.Batch{Shard: 0, First: 1, Commits: []driver.Commit{{Revision: 1, Time: 1, Keys: []driver.Key{at("x", 1)}}}}}})
	equal(t, "tail", tail(t, log, 0), driver.Revision(1))
	stands(t, log, 1, 1, 2, "b")
}

func testMoveGap(t *testing.T, log driver.Mover) {
	write(t, log, owns(nil, 0, own(0, 1, 1, "a")))
	for _, first := range []driver.Revision{3, 1 << 40} {
		behind(t, refusedMove(t, log, request([]driver.Batch{owns(nil, 0, own(0, first, 2, "gap"))})), 0, 1)
	}
}

func testMoveUntimed(t *testing.T, log driver.Mover) {
	write(t, log, batch(0, 1, "whoever's"))
	behind(t, refusedMove(t, log, request([]driver.Batch{owns(nil, 0, own(0, 1, 2, "new"))})), 0, 1)
	move(t, log, owns(nil, 0, own(0, 2, 2, "new")))
}

func testMoveMalformed(t *testing.T, log driver.Mover) {
	one := func(change func(w *driver.Write, c *driver.Commit)) driver.Write {
		w := request([]driver.Batch{owns(nil, 0, own(0, 1, 1, "a"), own(0, 2, 2, "b"))})
		change(&w, &w.Batches[0].Commits[1])
		return w
	}
	for what, w := range map[string]driver.Write{
		"cells":      one(func(w *driver.Write, c *driver.Commit) { w.Cells = []driver.CellOp{put("x", "", 1)} }),
		"behind":     one(func(w *driver.Write, c *driver.Commit) { w.Batches[0].Behind[3] = 1 }),
		"flipped":    one(func(w *driver.Write, c *driver.Commit) { c.Data[len(c.Data)-1] ^= 1 }),
		"format":     one(func(w *driver.Write, c *driver.Commit) { c.Data[0]++ }),
		"short":      one(func(w *driver.Write, c *driver.Commit) { c.Data = c.Data[:seal.Least-1] }),
		"elsewhere":  one(func(w *driver.Write, c *driver.Commit) { *c = own(0, 3, 2, "b"); c.Revision = 2 }),
		"other time": one(func(w *driver.Write, c *driver.Commit) { c.Time++ }),
		"back":       one(func(w *driver.Write, c *driver.Commit) { *c = own(0, 2, 1, "b") }),
		"no end":     one(func(w *driver.Write, c *driver.Commit) { *c = own(0, 2, 1<<62+1, "b") }),
		"name":       one(func(w *driver.Write, c *driver.Commit) { w.Batches[0].Unless = []string{""} }),
		"names": one(func(w *driver.Write, c *driver.Commit) {
			w.Batches[0].Unless = slices.Repeat([]string{"n"}, driver.MaxUnless+1)
		}),
		"long names": one(func(w *driver.Write, c *driver.Commit) {
			w.Batches[0].Unless = slices.Repeat([]string{strings.Repeat("n", 1000)}, driver.MaxMove/1000+1)
		}),
		"large": request([]driver.Batch{owns(nil, 0, own(0, 1, 1, string(make([]byte, driver.MaxMove))))}),
	} {
		if err := refusedMove(t, log, w); errors.As(err, new(*driver.TailError)) {
			t.Errorf("%s: refused with %v, as if somebody had taken its place", what, err)
		}
	}
	move(t, log, owns(nil, 0, own(0, 1, 1, string(make([]byte, driver.MaxMove-seal.Least)))))
}

func testMoveCancelled(t *testing.T, log driver.Mover) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Move(ctx, request([]driver.Batch{owns(nil, 0, own(0, 1, 1, "a"))})); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	equal(t, "tail", tail(t, log, 0), driver.Revision(0))
}

func testMoveRace(t *testing.T, log driver.Mover) {
	const writers, rounds, shards = 8, 20, 2
	together(t, writers, func(i int) error {
		name := fmt.Sprint("writer", i)
		known := [shards]driver.Revision{}
		clock := int64(0) // behind all that it knows of
		for n := uint64(1); n <= rounds; {
			clock++
			var list []driver.Batch
			for shard := range shards {
				list = append(list, owns([]string{name}, shard, own(shard, known[shard]+1, clock, fmt.Sprint(i, " ", n), at(name, n))))
			}
			moved, err := log.Move(t.Context(), request(list))
			var late *driver.TailError
			switch {
			case errors.As(err, &late): // so far behind that it is not remembered
				for shard := range shards {
					for c, err := range log.Read(t.Context(), shard, driver.Range{From: uint64(known[shard]) + 1}) {
						if err != nil {
							return err
						}
						known[shard], clock = c.Revision, max(clock, seal.Time(c.Data))
					}
				}
				continue
			case err != nil:
				return err
			}
			for shard := range shards {
				known[shard]++
			}
			for _, m := range moved {
				known[m.Passed.Shard] += driver.Revision(len(m.Passed.Commits))
				clock = max(clock, m.Times[0])
			}
			for shard := range shards {
				stands, err := rightAt(t.Context(), log, shard, known[shard], fmt.Sprint(i, " ", n))
				if err != nil || !stands {
					return fmt.Errorf("shard %d revision %d is not what was written there: %w", shard, known[shard], err)
				}
			}
			n++
		}
		return nil
	})
	for shard := range shards {
		equal(t, "tail", tail(t, log, shard), driver.Revision(writers*rounds))
		var last int64
		next := map[string]int{}
		for _, c := range collect(t, log.Read(t.Context(), shard, driver.Range{})) {
			if !seal.Holds(c.Data, shard, uint64(c.Revision)) {
				t.Errorf("shard %d revision %d is not sealed to its place", shard, c.Revision)
			}
			if is := seal.Time(c.Data); is <= last {
				t.Errorf("shard %d revision %d: time %d behind %d", shard, c.Revision, is, last)
			} else {
				last = is
			}
			var i, n int
			fmt.Sscan(string(c.Data[seal.Least:]), &i, &n)
			if name := fmt.Sprint(i); n != next[name]+1 {
				t.Errorf("shard %d: writer %d has %d behind %d", shard, i, n, next[name])
			} else {
				next[name] = n
			}
		}
	}
}

// rightAt reports whether the commit at a place has this text.
func rightAt(ctx context.Context, log driver.Log, shard int, rev driver.Revision, text string) (bool, error) {
	for c, err := range log.Read(ctx, shard, driver.Range{From: uint64(rev), To: uint64(rev) + 1}) {
		return err == nil && slices.Equal(c.Data[seal.Least:], []byte(text)), err
	}
	return false, nil
}
