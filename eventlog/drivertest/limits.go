package drivertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var limitPromises = []promise{
	{"LimitsReached", "What stays within the limits is taken: commits, values, keys and Writes of full size.", testLimitsReached},
	{"LimitsExceeded", "A Write beyond a limit is refused with ErrTooLarge; nothing is written.", testLimitsExceeded},
	{"NamesRefused", "A name that is empty, not UTF-8 or has a NUL is refused, not with ErrTooLarge; nothing is written.", testNamesRefused},
}

// full is the batches of a Write of exactly size bytes, over several shards.
func full(size int) []driver.Batch {
	var batches []driver.Batch
	for shard := 0; size > 0; shard++ {
		n := min(size, driver.MaxCommit)
		batches = append(batches, batch(shard, 1, long(n, "f")))
		size -= n
	}
	return batches
}

func testLimitsReached(t *testing.T, log driver.Log) {
	write(t, log, full(driver.MaxWrite)...)
	equal(t, "largest commit", look(t, log, 0).Rows[0], rows(full(driver.MaxWrite)[0].Commits))

	one := driver.Batch{Shard: 9, First: 1} // all in one shard
	for i, b := range full(driver.MaxWrite) {
		c := b.Commits[0]
		c.Revision = driver.Revision(i + 1)
		one.Commits = append(one.Commits, c)
	}
	write(t, log, one)
	equal(t, "commits of one shard", look(t, log, 9).Rows[9], rows(one.Commits))

	value := long(driver.MaxCommit, "v")
	writeCells(t, log, put("large", value, 1), put("larger", value, 1))
	equal(t, "cells", collect(t, log.Cells(t.Context(), "large", "largf", 0)),
		[]driver.Cell{cell("large", value, 1), cell("larger", value, 1)})

	// See FindManyKeys for MaxCommitKeys, NamesLong for MaxName.
}

func testLimitsExceeded(t *testing.T, log driver.Log) {
	write(t, log, batch(0, 1, "a"), batch(1, 1, "a"))
	ok := batch(0, 2, "ok")
	manyKeys := driver.Commit{Revision: 2}
	for i := range driver.MaxCommitKeys + 1 {
		manyKeys.Keys = append(manyKeys.Keys, driver.Key{Name: fmt.Sprint(i), Pos: 1})
	}
	name := long(driver.MaxName, "n") + "x"
	escaped := long(driver.MaxName/3, "/") + "xyz" // MaxName+1 or more when escaped
	elsewhere := func(size int) []driver.Batch {
		batches := full(size)
		for i := range batches {
			batches[i].Shard += 10
		}
		return append(batches, ok)
	}
	for what, w := range map[string]driver.Write{
		"commit":                  request([]driver.Batch{ok, batch(1, 2, long(driver.MaxCommit+1, "x"))}),
		"cell":                    request([]driver.Batch{ok}, put("c", long(driver.MaxCommit+1, "x"), 1)),
		"keys of a commit":        request([]driver.Batch{ok, {Shard: 1, First: 2, Commits: []driver.Commit{manyKeys}}}),
		"name of a key":           request([]driver.Batch{ok, keyed(1, 2, "", driver.Key{Name: name, Pos: 1})}),
		"name of a key, escaped":  request([]driver.Batch{ok, keyed(1, 2, "", driver.Key{Name: escaped, Pos: 1})}),
		"name of a cell":          request([]driver.Batch{ok}, put(name, "", 1)),
		"name of a cell, escaped": request([]driver.Batch{ok}, put(escaped, "", 1)),
		"name of a checked cell":  request([]driver.Batch{ok}, check(name)),
		"name of a deleted cell":  request([]driver.Batch{ok}, remove(name)),
		"write":                   request(elsewhere(driver.MaxWrite)),
		"write by its cells":      request(elsewhere(driver.MaxWrite-1000), put("c", long(998, "x"), 1)),
		"write by name of a cell": request(elsewhere(driver.MaxWrite-3), remove("cc")),
		"write by names of keys":  request(append(elsewhere(driver.MaxWrite-3), keyed(1, 2, "", driver.Key{Name: "kk", Pos: 1}))),
	} {
		if err := refused(t, log, w, 0, 1, 10); !errors.Is(err, driver.ErrTooLarge) {
			t.Errorf("%s: refused with %v, expected ErrTooLarge", what, err)
		}
	}
	write(t, log, ok)
}

func testNamesRefused(t *testing.T, log driver.Log) {
	for _, name := range []string{"", "\x00", "a\x00", "\x00a", "\xff", "a\xc3", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80"} {
		k := driver.Key{Name: name, Pos: 1}
		for _, w := range []driver.Write{
			request([]driver.Batch{batch(0, 1, "a"), keyed(1, 1, "b", k)}),
			request([]driver.Batch{keyed(1, 1, "b", driver.Key{Name: "good", Pos: 1}, k)}),
			request([]driver.Batch{batch(0, 1, "a")}, put("good", "", 1), put(name, "", 1)),
			request([]driver.Batch{batch(0, 1, "a")}, remove(name)),
			request([]driver.Batch{batch(0, 1, "a")}, check(name)),
		} {
			if err := refused(t, log, w, 0, 1); errors.Is(err, driver.ErrTooLarge) {
				t.Errorf("name %q: refused with %v", name, err)
			}
		}
	}
}
