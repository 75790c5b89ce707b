package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestSameOnAllDrivers runs one script on every driver and compares everything
// that can be seen, but for ids and times.
func TestSameOnAllDrivers(t *testing.T) {
	t.Parallel()
	o := &eventlog.Options{Shards: 3, Index: eventlog.Index{Types: true}, FoldAfter: -1}
	reference := play(t, over(t, memlog.Open(), o))
	if len(reference) < 50 {
		t.Fatalf("the script shows only %d lines", len(reference))
	}
	eachDriver(t, o, func(t *testing.T, l *eventlog.Log) {
		if diff := cmp.Diff(reference, play(t, l)); diff != "" {
			t.Errorf("it differs (-memlog +this):\n%s", diff)
		}
	})
}

// play does a bit of everything and returns what it saw.
func play(t *testing.T, l *eventlog.Log) (seen []string) {
	t.Helper()
	see := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	appended := func(stream string, o *eventlog.AppendOptions, texts ...string) {
		p, err := l.Append(t.Context(), stream, o, entries(texts...)...)
		see("append %s: %s, %v", stream, p, err)
	}
	for i := range 40 {
		appended(fmt.Sprintf("a/%d", i%7), &eventlog.AppendOptions{Tags: []string{fmt.Sprint("t", i%3)}}, fmt.Sprint(i))
	}
	appended("a/1", &eventlog.AppendOptions{Expect: eventlog.NoStream}, "no")
	appended("a/1", &eventlog.AppendOptions{Expect: eventlog.Exactly(6)}, "yes")
	appended("a/2", &eventlog.AppendOptions{ID: "id"}, "once")
	appended("a/2", &eventlog.AppendOptions{ID: "id"}, "once")
	appended("a/2", &eventlog.AppendOptions{ID: "id"}, "else")
	appended("", nil, "no")
	appended("a/\n", nil, "no")
	appended("a/{x} ü|@#%", nil, "hostile", "twice")
	for i := range 6 {
		p, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return playTx(tx, i) })
		see("update %d: %s, %v", i, p, err)
	}
	for i := range 12 {
		o := &eventlog.AppendOptions{Relaxed: true, ID: fmt.Sprint("relaxed", i/2), Tags: []string{"t1"}}
		p, err := l.Append(t.Context(), fmt.Sprint("a/", i%3), o, entries(fmt.Sprint("r", i/2), "more")...)
		see("relaxed %d: %s, %v", i, p, err)
		if i == 7 {
			p, err = l.Fold(t.Context())
			see("fold: %s, %v", p, err)
		}
	}
	for range 2 {
		list, err := l.LooseShards(t.Context())
		see("loose in %v, %v", list, err)
		playTimelines(t, l, see)
		p, err := l.Fold(t.Context())
		see("fold: %s, %v", p, err)
	}
	playReads(t, l, see)
	is(t, eventlog.Check(t.Context(), l), nil)
	return seen
}

// playTx writes to several streams and the table, and refuses now and then.
func playTx(tx *eventlog.Tx, i int) error {
	d, err := diaries.Load(tx, "a/1")
	if err != nil {
		return err
	}
	if done, err := tx.Once("a/3", fmt.Sprint(i/2)); done || err != nil {
		return fmt.Errorf("done %t: %w", done, err)
	}
	tx.Meta().Actor, tx.Meta().Extra = "ada", map[string]string{"n": fmt.Sprint(i)}
	_ = tx.Savepoint(func() error { return join(tx.Append("a/1", entry{"rolled back"}), errNo) })
	err = join(tx.Append("a/1", entry{fmt.Sprint(len(d.Text))}), tx.Append("b/1", eventlog.Tagged(entry{"b"}, "t0", "t1")),
		notes.Put(tx, fmt.Sprint("k", i%3), fmt.Sprint(i)), notes.Delete(tx, fmt.Sprint("k", i-1)),
		tx.Scope(chained(byte(i%2+1)), func() error { return join(tx.Append("b/1", entry{"chained"}), tx.Append("c/1", entry{"chained"})) }))
	if i == 4 {
		err = errors.Join(err, errNo)
	}
	return err
}

// playTimelines looks at each shard as it came.
func playTimelines(t *testing.T, l *eventlog.Log, see func(string, ...any)) {
	t.Helper()
	for _, shard := range allShards(l) {
		for _, r := range collect(t, l.Read(t.Context(), eventlog.Query{Shards: []int{shard}, Timeline: true})) {
			seen := r.Revision
			if r.Relaxed != nil {
				seen = r.Relaxed.Seen
			}
			see("timeline %d: %s@%d %d %s, saw %d", shard, r.Stream, r.Version, r.Revision, r.Data, seen)
		}
	}
}

// playReads looks at everything in many ways.
func playReads(t *testing.T, l *eventlog.Log, see func(string, ...any)) {
	t.Helper()
	for _, q := range []eventlog.Query{
		{}, {Backward: true}, {Limit: 5}, {Stream: "a/1"}, {Stream: "a/1", Backward: true, Limit: 3}, {Stream: "a/1", From: 3, To: 5},
		{Stream: "none"}, {Tag: "t1"}, {Tag: "t1", Backward: true}, {Category: "b"}, {Types: []string{"test.entry"}, Limit: 7},
		{Correlation: eventlog.ID{1}}, {Correlation: eventlog.ID{2}, Backward: true},
		{Shards: []int{1}}, {Shards: []int{1}, From: 2, To: 4, Backward: true}, {After: eventlog.Position{}.With(0, 3).With(2, 2)},
	} {
		var lines []string
		for _, r := range collect(t, l.Read(t.Context(), q)) {
			lines = append(lines, fmt.Sprintf("%s@%d %d/%d.%d %s %s %q %v %v", r.Stream, r.Version, r.Shard, r.Revision, r.Index,
				r.Type, r.Data, r.Tags, r.Meta.Actor, r.Meta.Extra))
		}
		see("read %+v:\n%s", q, strings.Join(lines, "\n"))
	}
	for _, prefix := range []string{"", "a", "a/1", "b/", "c"} {
		see("streams %q: %v", prefix, collect(t, l.Streams(t.Context(), prefix)))
	}
	is(t, l.View(context.Background(), func(tx *eventlog.Tx) error {
		see("rows %v", collect(t, notes.All(tx, "")))
		return nil
	}), nil)
	see("position %s", position(t, l))
}
