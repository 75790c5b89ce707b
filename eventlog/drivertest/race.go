package drivertest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var racePromises = []promise{
	{"RaceForPlace", "Of writers that race for one place exactly one wins; the others are refused by TailError.", testRaceForPlace},
	{"RaceForCell", "Of writers that race for one version of a cell exactly one wins, and no commit of another is written.", testRaceForCell},
	{"RaceOverShards", "Writes that overlap over several shards, in any order, do not block each other for ever, and each happens whole.", testRaceOverShards},
	{"Whole", "Who has seen one part of a Write, a commit or a cell, sees all its other parts from then on.", testWhole},
	{"GapFree", "While many write, readers see revisions without gap, each once, and nothing acknowledged is missing.", testGapFree},
}

func testRaceForPlace(t *testing.T, log driver.Log) {
	const writers, rounds = 16, 10
	for rev := driver.Revision(1); rev <= rounds; rev++ {
		var winner, wins atomic.Int32
		together(t, writers, func(i int) error {
			data := fmt.Sprintf("writer %d at %d", i, rev)
			k := driver.Key{Name: fmt.Sprint("writer", i), Pos: uint64(rev)}
			w := request([]driver.Batch{keyed(0, rev, data, k)}, put(fmt.Sprint("of", i), data, uint64(rev)))
			ok, err := won(t.Context(), log, w)
			if ok {
				wins.Add(1)
				winner.Store(int32(i))
			}
			return err
		})
		if n := wins.Load(); n != 1 {
			t.Fatalf("%d winners at %d", n, rev)
		}
		i := winner.Load()
		data := fmt.Sprintf("writer %d at %d", i, rev)
		s := look(t, log, 0)
		equal(t, "tail", s.Tails[0], rev)
		if len(s.Rows[0]) == 0 || s.Rows[0][len(s.Rows[0])-1] != (row{rev, data}) {
			t.Errorf("the last commit is not the winner's: %+v", s.Rows[0])
		}
		if !slices.ContainsFunc(s.Cells, func(c driver.Cell) bool { return c.Key == fmt.Sprint("of", i) && string(c.Value) == data }) {
			t.Errorf("the winner's cell is not there: %+v", s.Cells)
		}
		for _, c := range s.Cells {
			if c.Version == uint64(rev) && string(c.Value) != data {
				t.Errorf("a loser's cell is there: %s at version %d", c.Key, c.Version)
			}
		}
	}
}

func testRaceForCell(t *testing.T, log driver.Log) {
	const writers, rounds = 16, 10
	for version := range uint64(rounds) {
		var wins atomic.Int32
		var winner atomic.Int64
		together(t, writers, func(i int) error {
			data := fmt.Sprintf("writer %d over %d", i, version)
			rev, err := log.Tail(t.Context(), i)
			if err != nil {
				return err
			}
			w := request([]driver.Batch{batch(i, rev+1, data)}, when(version, put("cell", data, version+1)))
			ok, err := won(t.Context(), log, w)
			if ok {
				wins.Add(1)
				winner.Store(int64(i))
			}
			return err
		})
		if n := wins.Load(); n != 1 {
			t.Fatalf("%d winners over version %d", n, version)
		}
		equal(t, "cells", cellsOf(t, log), []driver.Cell{cell("cell", fmt.Sprintf("writer %d over %d", winner.Load(), version), version+1)})
	}
	var commits driver.Revision
	for shard := range writers {
		commits += tail(t, log, shard)
	}
	equal(t, "commits of all shards", commits, driver.Revision(rounds))
}

func testRaceOverShards(t *testing.T, log driver.Log) {
	const writers, each = 6, 10
	orders := [][]int{{0, 1}, {1, 0}, {1, 2}, {2, 1}, {2, 0}, {0, 1, 2}}
	prompt(t, "overlapping writes", func() {
		together(t, writers, func(i int) error {
			for n := range each {
				for {
					var batches []driver.Batch
					for _, shard := range orders[i] {
						rev, err := log.Tail(t.Context(), shard)
						if err != nil {
							return err
						}
						batches = append(batches, batch(shard, rev+1, fmt.Sprintf("writer %d number %d", i, n)))
					}
					if ok, err := won(t.Context(), log, request(batches)); err != nil {
						return err
					} else if ok {
						break
					}
				}
			}
			return nil
		})
	})
	s := look(t, log, 0, 1, 2)
	for i := range writers {
		for n := range each {
			data := fmt.Sprintf("writer %d number %d", i, n)
			for shard := range 3 {
				want := 0
				if slices.Contains(orders[i], shard) {
					want = 1
				}
				got := 0
				for _, r := range s.Rows[shard] {
					if r.Data == data {
						got++
					}
				}
				if got != want {
					t.Errorf("%s is %d times in shard %d, expected %d", data, got, shard, want)
				}
			}
		}
	}
}

func testWhole(t *testing.T, log driver.Log) {
	const rounds = 100
	ctx := t.Context()
	parts := map[string]func() (driver.Revision, error){"cell": func() (driver.Revision, error) {
		for c, err := range log.Cells(ctx, "cell", "cell\x00", 1) {
			return driver.Revision(c.Version), err
		}
		return 0, nil
	}}
	for shard := range 3 {
		parts[fmt.Sprint("shard ", shard)] = func() (driver.Revision, error) { return log.Tail(ctx, shard) }
	}
	var done atomic.Bool
	var looks atomic.Int64
	together(t, 2, func(i int) error {
		if i == 0 {
			defer done.Store(true)
			for rev := driver.Revision(1); rev <= rounds; rev++ {
				for n := looks.Load(); n >= 0 && looks.Load() == n; {
					runtime.Gosched() // until the other one is at work
				}
				w := request([]driver.Batch{batch(0, rev, "a"), batch(1, rev, "b"), batch(2, rev, "c")}, put("cell", "d", uint64(rev)))
				if err := log.Write(ctx, w); err != nil {
					return err
				}
			}
			return nil
		}
		defer looks.Store(-1)
		for !done.Load() {
			looks.Add(1)
			for first, look := range parts { // in any order
				seen, err := look()
				if err != nil {
					return err
				}
				for other, look := range parts {
					if rev, err := look(); err != nil {
						return err
					} else if rev < seen {
						return fmt.Errorf("%s shows write %d, after it %s shows write %d", first, seen, other, rev)
					}
				}
			}
		}
		return nil
	})
}

func testGapFree(t *testing.T, log driver.Log) {
	const writers, each, readers = 8, 20, 2
	var mu sync.Mutex
	acked := make(map[driver.Revision]string)
	var writing atomic.Int32
	writing.Store(writers)
	together(t, writers+readers, func(i int) error {
		if i < readers {
			return readWhile(t, log, &writing)
		}
		defer writing.Add(-1)
		for n := 0; n < each; {
			rev, err := log.Tail(t.Context(), 0)
			if err != nil {
				return err
			}
			rev++
			data := fmt.Sprintf("writer %d number %d", i, n)
			ok, err := won(t.Context(), log, request([]driver.Batch{keyed(0, rev, data, driver.Key{Name: "k", Pos: uint64(rev)})}))
			if err != nil {
				return err
			}
			if ok {
				n++
				mu.Lock()
				acked[rev] = data
				mu.Unlock()
			}
		}
		return nil
	})
	got := look(t, log, 0)
	equal(t, "number of commits", len(got.Rows[0]), writers*each)
	for _, r := range got.Rows[0] {
		equal(t, fmt.Sprintf("commit %d", r.Revision), r.Data, acked[r.Revision])
	}
	equal(t, "commits with the key", got.Found[`0 "k"`], got.Rows[0])
}

// readWhile reads shard 0 again and again until nobody writes any more: by Read,
// which never comes less far than before, and by Find.
func readWhile(t *testing.T, log driver.Log, writing *atomic.Int32) error {
	var last driver.Revision
	for writing.Load() > 0 {
		rev, err := readGapless(t.Context(), log, 0)
		if err != nil {
			return err
		}
		if rev < last {
			return fmt.Errorf("a read came to %d, an earlier one to %d", rev, last)
		}
		last = rev
		next := driver.Revision(1)
		for c, err := range log.Find(t.Context(), 0, "k", driver.Range{}) {
			if err != nil {
				return err
			}
			if c.Revision != next {
				return fmt.Errorf("Find yields %d, expected %d", c.Revision, next)
			}
			next++
		}
		if next <= last {
			return fmt.Errorf("Find came to %d, an earlier Read to %d", next-1, last)
		}
	}
	return nil
}
