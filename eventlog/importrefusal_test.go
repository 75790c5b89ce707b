package eventlog_test

import (
	"bytes"
	"context"
	"errors"
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

// A hostile or damaged line is refused with its number; nothing of its
// transaction is written, and what came before stays.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 1)
	transferAppend(t, from, "first") // line 2
	if _, err := from.Update(t.Context(), func(tx *eventlog.Tx) error {
		if _, err := tx.Once("second", "id"); err != nil {
			return err
		}
		return tx.Append("second", eventlog.Raw{Type: "t", Data: []byte(`{"n":2}`)}, eventlog.Raw{Type: "t", Data: []byte(`{"n":3}`)})
	}); err != nil { // lines 3 to 5
		t.Fatal(err)
	}
	export := transferExport(t, from)
	replace := func(old, new string) string {
		if strings.Count(export, old) != 1 {
			t.Fatalf("%q is there %d times in\n%s", old, strings.Count(export, old), export)
		}
		return strings.Replace(export, old, new, 1)
	}
	lines := strings.SplitAfter(export, "\n")
	second := lines[3]
	at := second[strings.Index(second, `"time":"`)+8:]
	at = at[:strings.Index(at, `"`)]
	id := second[len(`{"id":"`):][:36]
	for name, c := range map[string]struct{ export, want string }{
		"nothing":                 {"", "line 1: empty"},
		"no header":               {strings.Join(lines[1:], ""), "line 1: not the beginning of an export"},
		"a newer format":          {replace(`"format":1`, `"format":2`), "line 1: incompatible log: export format 2"},
		"no shards":               {replace(`"shards":1`, `"shards":0`), "line 1: 0 shards"},
		"no JSON":                 {replace(`{"n":3}`, `{"n":3`), "line 5: "},
		"an unknown member":       {replace(`{"n":3}`, `{"n":3},"extra":1`), "line 5: json: unknown field"},
		"two values":              {replace(second, strings.TrimSpace(second)+"{}\n"), "line 4: more than one value"},
		"a binary line":           {replace(second, "\x00\xff\xfe\n"), "line 4: "},
		"an empty line":           {replace(second, "\n"), "line 4: "},
		"an unknown kind":         {replace(`"kind":"commit"`, `"kind":"comet"`), `line 3: unknown kind "comet"`},
		"no payload":              {replace(`"data":{"n":3},`, ``), "line 5: neither data nor data_base64"},
		"two payloads":            {replace(`"data":{"n":3}`, `"data":{"n":3},"data_base64":""`), "line 5: both data and data_base64"},
		"version 0":               {replace(`"stream":"second","version":1`, `"stream":"second","version":0`), "line 4: second version 0"},
		"a version missing":       {replace(`"stream":"second","version":2`, `"stream":"second","version":3`), "line 5: second goes from version 1 to 3"},
		"a version too high":      {strings.NewReplacer(`"stream":"second","version":1`, `"stream":"second","version":7`, `"stream":"second","version":2`, `"stream":"second","version":8`).Replace(export), "line 4: second version 7: conflict: the stream is at version 0"},
		"a shard too high":        {replace(`"version":2,"shard":0`, `"version":2,"shard":1`), "line 5: shard 1: the exported log has 0 to 0"},
		"a negative shard":        {replace(`"version":2,"shard":0`, `"version":2,"shard":-1`), "line 5: shard -1"},
		"a revision missing":      {strings.ReplaceAll(export, `"revision":2`, `"revision":3`), "line 3: shard 0 goes from revision 1 to 3"},
		"two revisions":           {replace(`"version":2,"shard":0,"revision":2`, `"version":2,"shard":0,"revision":3`), "line 5: transaction "},
		"an event twice":          {replace(second, second+second), "line 5: second version 1: id " + id + " appears twice"},
		"an id twice":             {replace(`0002","stream":"second"`, `0001","stream":"second"`), "line 5: second version 2: id " + id + " appears twice"},
		"no id":                   {replace(id, ""), "line 4: id \"00000000-0000-0000-0000-000000000000\" is not that of an event"},
		"the id of a commit":      {replace(id, id[:32]+"0000"), "is not that of an event"},
		"the rest twice":          {replace(lines[2], lines[2]+lines[2]), "line 4: transaction "},
		"other metadata":          {replace(lines[4], strings.Replace(lines[4], `"meta":{}`, `"meta":{"actor":"me"}`, 1)), "line 5: transaction "},
		"time goes back":          {strings.ReplaceAll(export, at, "2001-01-01T00:00:00Z"), "line 3: time goes back"},
		"a time of 1969":          {strings.ReplaceAll(export, at, "1969-01-01T00:00:00Z"), "line 1: time 1969"},
		"a time far ahead":        {strings.ReplaceAll(export, at, "2200-01-01T00:00:00Z"), "line 3: clock"},
		"a time beyond the last":  {strings.ReplaceAll(export, at, "9999-01-01T00:00:00Z"), "line 1: time 9999"},
		"an empty stream":         {strings.ReplaceAll(export, `"stream":"second"`, `"stream":""`), "line 3: invalid name: empty stream"},
		"an empty type":           {replace(second, strings.Replace(second, `"type":"t"`, `"type":""`, 1)), "line 4: second version 1: invalid name: empty event type"},
		"a control character":     {replace(second, strings.Replace(second, `"tags":[]`, `"tags":["\u0007"]`, 1)), "line 4: second version 1: invalid name: tag"},
		"too many tags":           {replace(second, strings.Replace(second, `"tags":[]`, `"tags":["x"`+strings.Repeat(`,"x"`, 64)+`]`, 1)), "line 4: second version 1: too large"},
		"too large":               {replace(`{"n":3}`, `"`+strings.Repeat("x", eventlog.MaxEvent)+`"`), "line 5: second version 2: too large"},
		"too long a line":         {replace(`{"n":3}`, `"`+strings.Repeat("x", 9<<20)+`"`), "line 5: longer than"},
		"a row behind events":     {replace(second, `{"kind":"row","table":"t","key":"k","value":1}`+"\n"), "line 4: a row behind events"},
		"a bad hash":              {replace(`"id":"id"`, `"id":"id","hash":"xyz"`), "line 3: hash"},
		"an empty idempotency id": {replace(`"id":"id"`, `"id":""`), "line 3: invalid name: empty id"},
		"a table elsewhere":       {replace(`"ids":`, `"tables":[""],"ids":`), "line 3: invalid name: empty table name"},
		"the end missing":         {strings.Join(lines[:5], ""), "line 5: the export is cut short behind it"},
		"cut in a transaction":    {strings.Join(lines[:4], ""), "line 4: the export is cut short behind it"},
		"cut in a line":           {export[:len(export)-40], "line 5: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.export == export {
				t.Fatal("the export was not changed")
			}
			to := transferOpen(t, 1)
			_, err := eventlog.Import(t.Context(), to, strings.NewReader(c.export))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %q, want %q", err, c.want)
			}
			first := !strings.HasPrefix(c.want, "line 1:")
			cut := strings.HasPrefix(c.want, "line 3:") // perhaps of the first transaction
			if p := transferPosition(t, to).String(); p != "0:1" && first && !cut || p != "" && !first {
				t.Errorf("the log is at %q", p)
			}
			transferImport(t, to, export) // mended, the same import goes on
			if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
				t.Errorf("another export (-from +to):\n%s", diff)
			}
		})
	}
}

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

// Whatever is imported, a log stays a log.
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
	export := transferExport(f, l)
	f.Add([]byte(export))
	f.Add([]byte(strings.ReplaceAll(export, `"version":1`, `"version":2`)))
	f.Add([]byte(strings.ReplaceAll(export, `"shard":1`, `"shard":0`)))
	f.Fuzz(func(t *testing.T, export []byte) {
		to := transferOpen(t, 2)
		if _, err := eventlog.Import(t.Context(), to, bytes.NewReader(export)); err != nil {
			return // transferOpen checks the log at the end
		}
		transferImport(t, to, string(export))
	})
}
