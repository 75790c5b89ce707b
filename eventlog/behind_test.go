package eventlog_test

import (
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestAppendFromFarBehind: a process that has not looked at a shard for long finds a
// stream's version with few look-ups, wherever it was when the process looked last.
func TestAppendFromFarBehind(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1, 2, 3, 7, 100} {
		for _, after := range []int{0, 1, 2, 3, 4, 5, 8, 9, 31, 700} {
			store := memlog.NewStore()
			o := eventlog.Options{Shards: 1}
			writer, _ := process(t, store, o, 0)
			grow := func(n int) {
				for i := range n {
					add(t, writer, "s", make([]string, 1+i%3)...)
				}
			}
			grow(before)
			behind, f := process(t, store, o, 0)
			grow(after)
			finds := f.Calls("Find")
			add(t, behind, "s", "x")
			if n := f.Calls("Find") - finds; n > 25 {
				t.Errorf("%d commits before and %d after: %d look-ups", before, after, n)
			}
			var version uint64
			for _, r := range collect(t, behind.Read(t.Context(), eventlog.Query{Stream: "s"})) {
				if version++; r.Version != version {
					t.Errorf("%d commits before and %d after: version %d behind %d", before, after, r.Version, version-1)
				}
			}
		}
	}
}

// TestManyColdStreams: an Update of many streams that nobody knows yet asks for all
// of them, and fails with the first that cannot be asked for.
func TestManyColdStreams(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	writer, _ := process(t, store, eventlog.Options{Shards: 1}, 0)
	for i := range 100 {
		add(t, writer, fmt.Sprint("s/", i), make([]string, 1+i%4)...)
	}
	l, f := process(t, store, eventlog.Options{Shards: 1}, 0)
	all := func(tx *eventlog.Tx) error {
		for i := range 100 {
			if err := tx.Append(fmt.Sprint("s/", i), entry{"x"}); err != nil {
				return err
			}
		}
		return nil
	}
	f.Inject(cutFind(40))
	_, err := l.Update(t.Context(), all)
	is(t, err, eventlog.ErrUnavailable)
	f.Inject(nil)
	update(t, l, all)
	is(t, eventlog.Check(t.Context(), l), nil)
}

// cutFind is a plan in which the n-th look-up fails.
func cutFind(n int) drivertest.Plan {
	return func(c drivertest.Call) drivertest.Fault {
		if c.Method != "Find" {
			return drivertest.Fault{}
		}
		if n--; n != 0 {
			return drivertest.Fault{}
		}
		return drivertest.Fault{Kind: drivertest.Fail}
	}
}
