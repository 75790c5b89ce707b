package eventlog_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// Lines too many or too few that fit where they stand are found at the end.
func TestImportCountsLines(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 1)
	transferAppend(t, from, "a", "b")
	lines := strings.SplitAfter(transferExport(t, from), "\n")
	_, err := eventlog.Import(t.Context(), transferOpen(t, 1), strings.NewReader(lines[0]+lines[1]+lines[3]))
	if err == nil || !strings.Contains(err.Error(), "line 3: 2 lines stand before it, it says 3") {
		t.Errorf("a line missing: %v", err)
	}
	_, err = eventlog.Import(t.Context(), transferOpen(t, 1), strings.NewReader(strings.Join(lines, "")+lines[1]))
	if err == nil || !strings.Contains(err.Error(), "line 5: there is more behind the end") {
		t.Errorf("a line behind the end: %v", err)
	}
}

func TestImportOfOtherContentIsAConflict(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 4)
	transferAppend(t, from, "a")
	transferAppend(t, from, "b", "c")
	export := transferExport(t, from)
	for name, c := range map[string]struct {
		change func(to *eventlog.Log)
		export string
		want   string
	}{
		"another payload": {func(to *eventlog.Log) { transferImport(t, to, export) },
			strings.Replace(export, `"n":1`, `"n":2`, 1), "line 2: a version 1: conflict: the log has something else in shard"},
		"another log": {func(to *eventlog.Log) { transferAppend(t, to, "b") }, export, " version 1: conflict: "},
		"a log that went on": {func(to *eventlog.Log) {
			lines := strings.SplitAfter(export, "\n")
			_, _ = eventlog.Import(t.Context(), to, strings.NewReader(strings.Join(lines[:3], ""))) // a, not b and c
			transferAppend(t, to, "b", "c")
		}, export, " version 1: conflict: the log has something else"},
	} {
		to := transferOpen(t, 4)
		c.change(to)
		before := transferExport(t, to)
		_, err := eventlog.Import(t.Context(), to, strings.NewReader(c.export))
		if !errors.Is(err, eventlog.ErrConflict) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if diff := cmp.Diff(before, transferExport(t, to)); name != "another log" && diff != "" {
			t.Errorf("%s: the log changed (-before +after):\n%s", name, diff)
		}
	}
}

func TestImportRefusesStreamsOfShardsElsewhere(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 4)
	if _, err := from.Append(t.Context(), "$steps/3", nil, sys.Event{Type: "$step", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	_, err := eventlog.Import(t.Context(), transferOpen(t, 8), strings.NewReader(transferExport(t, from)))
	if !errors.Is(err, eventlog.ErrFormat) || !strings.Contains(err.Error(), "line 2: ") || !strings.Contains(err.Error(), "$steps/3 belongs to a shard") {
		t.Errorf("error %v", err)
	}
}

// Transactions of the same nanosecond, which two writers can make in two shards,
// go into one shard one after another.
func TestImportSetsTheSameNanosecondApart(t *testing.T) {
	t.Parallel()
	at := "2026-01-02T03:04:05.000000006Z"
	event := func(tx, stream string, shard string) string {
		return `{"id":"01a2020c-a8ba-71e1-aac1-` + tx + `0001","stream":"` + stream + `","version":1,"shard":` + shard +
			`,"revision":1,"time":"` + at + `","type":"t","data":1,"tags":[],"meta":{}}` + "\n"
	}
	two := transferOpen(t, 2)
	names := [2]string{}
	for _, n := range transferNames {
		names[two.ShardOf(n)] = n
	}
	export := `{"kind":"log","format":1,"shards":2,"index":{},"until":"` + at + `"}` + "\n" +
		event("00000001", names[0], "0") + event("00000002", names[1], "1") + `{"kind":"end","lines":3}` + "\n"
	transferImport(t, two, export)
	if diff := cmp.Diff(export, transferExport(t, two)); diff != "" {
		t.Errorf("another export (-from +to):\n%s", diff)
	}
	one := transferOpen(t, 1)
	transferImport(t, one, export)
	if again := transferImport(t, one, export); again.Transactions != 0 || again.Repeated != 2 {
		t.Errorf("a second import did %+v", again)
	}
	list := transferRecords(t, one)
	if len(list) != 2 || list[1].Time.Sub(list[0].Time) != time.Nanosecond {
		t.Errorf("records %v", list)
	}
}

// A commit without events keeps its metadata, also where it comes to lie in
// another shard; in one with events it gives way to theirs.
func TestImportOfMetadata(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 4)
	events, ids := inShard(from, 0, "events"), inShard(from, 1, "ids")
	if _, err := from.Update(t.Context(), func(tx *eventlog.Tx) error {
		tx.Meta().Actor = "tx"
		if _, err := tx.Once(ids, "id"); err != nil {
			return err
		}
		for _, actor := range []string{"a", "b", "a"} {
			err := tx.Scope(eventlog.Meta{Actor: actor}, func() error { return tx.Append(events, eventlog.Raw{Type: "t", Data: []byte("1")}) })
			if err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	export := transferExport(t, from)
	for shards, want := range map[int]string{4: "tx a b a", 1: "a a b a", 3: "tx a b a", 64: "tx a b a"} {
		to := transferOpen(t, shards)
		transferImport(t, to, export)
		if again := transferImport(t, to, export); again.Repeated != 1 {
			t.Errorf("%d shards: a second import did %+v", shards, again)
		}
		var actors []string // that of the commit's line first
		for line := range strings.Lines(transferExport(t, to)) {
			if _, actor, ok := strings.Cut(line, `"meta":{"actor":"`); ok {
				actor, _, _ = strings.Cut(actor, `"`)
				if actors = append(actors, actor); strings.HasPrefix(line, `{"kind":"commit"`) {
					actors = append([]string{actor}, actors[:len(actors)-1]...)
				}
			}
		}
		if got := strings.Join(actors, " "); got != want {
			t.Errorf("%d shards: metadata %q, expected %q", shards, got, want)
		}
		if shards == 3 && to.ShardOf(events) == to.ShardOf(ids) {
			t.Fatal("in 3 shards both lie in one")
		}
	}
}

// More transactions than may be in flight, of few streams.
func TestImportOfManyTransactions(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 2)
	for range 100 {
		transferAppend(t, from, "a", "b")
		if _, err := from.Append(t.Context(), "c", nil, eventlog.Raw{Type: "t", Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	for range 5000 {
		transferAppend(t, from, "d")
	}
	export, to := transferExport(t, from), transferOpen(t, 2)
	if r := transferImport(t, to, export); r.Transactions != 5200 || r.Events != 5300 {
		t.Errorf("result %+v", r)
	}
	if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
		t.Errorf("another export (-from +to):\n%s", diff)
	}
}

// An import that fails anywhere is repeated until it succeeds.
func TestImportOverAFailingStore(t *testing.T) {
	t.Parallel()
	failed := 0
	rapid.Check(t, func(t *rapid.T) {
		from := transferLog(t, true)
		export := transferExport(t, from)
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		to, err := eventlog.Open(t.Context(), faulty, &eventlog.Options{Shards: from.Shards()})
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		plan := drivertest.Chaos(rapid.Uint64().Draw(t, "seed"), drivertest.Odds{Fail: 0.1, Lose: 0.1, Drop: 0.1, Cut: 0.05})
		faulty.Inject(plan)
		for range 200 {
			if _, err = eventlog.Import(t.Context(), to, strings.NewReader(export)); err == nil {
				break
			}
			failed++
		}
		faulty.Inject(nil)
		if err != nil {
			transferImport(t, to, export)
		}
		if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
			t.Fatalf("another export (-from +to):\n%s", diff)
		}
		if err := eventlog.Check(t.Context(), to); err != nil {
			t.Fatal(err)
		}
	})
	if failed == 0 {
		t.Error("no import ever failed")
	}
}

func TestImportEndsWithItsContext(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 1)
	transferAppend(t, from, "a")
	export := transferExport(t, from)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := transferOpen(t, 1)
	if _, err := eventlog.Import(ctx, to, strings.NewReader(export)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	transferImport(t, to, export)
}

// Whatever stands on a line of an import, a log stays a log.
func FuzzImport(f *testing.F) {
	l, err := eventlog.Open(f.Context(), memlog.Open(), &eventlog.Options{Shards: 2})
	if err != nil {
		f.Fatal(err)
	}
	transferAppend(f, l, "a", "b", "a")
	_, err = l.Update(f.Context(), func(tx *eventlog.Tx) error {
		if _, err := tx.Once("a", "id"); err != nil {
			return err
		}
		return eventlog.Table[int]{Name: "t"}.Put(tx, "k", 1)
	})
	if err != nil {
		f.Fatal(err)
	}
	lines := strings.SplitAfter(transferExport(f, l), "\n")
	for i, line := range lines {
		f.Add(uint8(i), []byte(line))
		f.Add(uint8(i+1), []byte(line))
		f.Add(uint8(i), []byte(strings.ReplaceAll(line, `1`, `2`)))
	}
	f.Fuzz(func(t *testing.T, at uint8, line []byte) {
		export := slices.Clone(lines)
		export[int(at)%len(lines)] = string(line)
		to := transferOpen(t, 2)
		if _, err := eventlog.Import(t.Context(), to, strings.NewReader(strings.Join(export, ""))); err != nil {
			return // transferOpen checks the log at the end
		}
		transferImport(t, to, strings.Join(export, ""))
	})
}
