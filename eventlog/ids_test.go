package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestIDsNeverCollide: the ids of events differ over processes, transactions
// and savepoints, the parts of a transaction share one, and names that look
// alike are kept apart.
func TestIDsNeverCollide(t *testing.T) {
	t.Parallel()
	t.Run("events", testEventIDs)
	t.Run("names", func(t *testing.T) {
		t.Parallel()
		eachDriver(t, nil, testHostileNames)
	})
}

func testEventIDs(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	var logs []*eventlog.Log
	for range 3 {
		logs = append(logs, over(t, store.Open(), &eventlog.Options{Shards: 4}))
	}
	var wg sync.WaitGroup
	for p, l := range logs {
		for w := range 4 {
			wg.Go(func() {
				for n := range 25 {
					if err := writeWithSavepoint(l, fmt.Sprintf("s/%d", (p+w+n)%9)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	seen := make(map[eventlog.ID]bool)
	transactions := make(map[eventlog.ID]int)
	for _, r := range collect(t, logs[0].Read(t.Context(), eventlog.Query{})) {
		if seen[r.ID] {
			t.Errorf("two events have id %v", r.ID)
		}
		seen[r.ID] = true
		transactions[r.Commit()]++
	}
	if len(transactions) != 3*4*25 {
		t.Errorf("%d transactions, expected %d", len(transactions), 3*4*25)
	}
	for id, n := range transactions {
		if n != 4 {
			t.Errorf("transaction %v has %d events, expected 4 in two shards", id, n)
		}
	}
}

// writeWithSavepoint appends four events, and two in between that do not stay.
func writeWithSavepoint(l *eventlog.Log, stream string) error {
	_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
		one, two := inShard(l, 0, stream), inShard(l, 1, stream)
		err := join(tx.Append(one, entry{"1"}), tx.Append(two, entry{"2"}))
		_ = tx.Savepoint(func() error { return join(tx.Append(one, entries("no", "no")...), errNo) })
		return join(err, tx.Append(one, entries("3", "4")...))
	})
	return err
}

// hostileNames are pairwise different, and alike wherever separators are
// mistaken for names, or case, spaces or normal forms are lost.
var hostileNames = []string{
	"a", "A", "a/b", "a|b", "a@b", "a#b", "a b", "a%b", "a%2Fb", "a%20b", "a/", "/a", "//", "/", "|", "@", "#", "%", " ", "  ",
	"a@1", "a@10", "1", "01", "1.0", "+1", "-1", "{a}", "{}", "a{}", "{a}b", "proj1", "proj1/", "proj2", "größe", "gro\u0308ße", "語",
	"\U0001F600", "\u00ad", "\ufffd", "'", "\"", "\\", "\\n", "..", ".", "*", "?", "~", "c/0/1", "k/0/a", "x/a", "null",
}

// testHostileNames uses each name for everything that has a name.
func testHostileNames(t *testing.T, l *eventlog.Log) {
	for _, name := range hostileNames {
		_, err := l.Append(t.Context(), name, &eventlog.AppendOptions{Expect: eventlog.NoStream, ID: name, Tags: []string{name}},
			eventlog.Raw{Type: name, Data: []byte(`"` + fmt.Sprintf("%x", name) + `"`)})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		update(t, l, func(tx *eventlog.Tx) error {
			for _, table := range []string{"t", name} {
				_, ok, err := eventlog.Table[string]{Name: table}.Get(tx, name)
				if ok || err != nil {
					t.Errorf("the row %q of %q is there: %t, %v", name, table, ok, err)
				}
				if err := (eventlog.Table[string]{Name: table}).Put(tx, name, name); err != nil {
					return err
				}
			}
			if done, err := tx.Once("once", name); done || err != nil {
				t.Errorf("the id %q is recorded: %t, %v", name, done, err)
			}
			return nil
		})
	}
	streams := collect(t, l.Streams(t.Context(), ""))
	if len(streams) != len(hostileNames) {
		t.Errorf("%d streams, expected %d", len(streams), len(hostileNames))
	}
	for _, name := range hostileNames {
		for way, q := range map[string]eventlog.Query{"stream": {Stream: name}, "tag": {Tag: name}, "type": {Types: []string{name}}} {
			list := collect(t, l.Read(t.Context(), q))
			if len(list) != 1 || list[0].Stream != name || list[0].Version != 1 || list[0].Type != name || list[0].Tags[0] != name {
				t.Errorf("by %s %q there are %v", way, name, list)
			}
		}
	}
	is(t, l.View(t.Context(), func(tx *eventlog.Tx) error {
		for _, name := range hostileNames {
			if v, ok, err := (eventlog.Table[string]{Name: "t"}).Get(tx, name); v != name || !ok || err != nil {
				t.Errorf("row %q is %q, %t, %v", name, v, ok, err)
			}
			if rows := collect(t, eventlog.Table[string]{Name: name}.All(tx, "")); name != "t" && len(rows) != 1 {
				t.Errorf("table %q has %d rows, expected 1: %v", name, len(rows), rows)
			}
		}
		return nil
	}), nil)
}

// TestOnceKeysDoNotMix: an id belongs to its stream, wherever the border lies.
func TestOnceKeysDoNotMix(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 1})
	for _, c := range [][2]string{{"a", "b/c"}, {"a/b", "c"}, {"a/b/", "c"}, {"a", "/b/c"}, {"ab", "c"}, {"a", "bc"}} {
		update(t, l, func(tx *eventlog.Tx) error {
			done, err := tx.Once(c[0], c[1])
			if done || err != nil {
				t.Errorf("id %q of %q is recorded: %t, %v", c[1], c[0], done, err)
			}
			return nil
		})
	}
}
