package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// transferNames are stream, tag, table and id names that an escaping could lose.
var transferNames = []string{"a", "account/ada", "account/{g}/1", "b{g}", `qu"ote`, `back\slash`, "a/b|c@d#e", "ünï cödé", "<&>", "\u2028", "1", "{}"}

func transferName(t *rapid.T, what string) string {
	return rapid.SampledFrom(transferNames).Draw(t, what)
}

func transferEvent(t *rapid.T) eventlog.Event {
	raw := eventlog.Raw{Type: transferName(t, "type")}
	switch rapid.IntRange(0, 4).Draw(t, "payload") {
	case 0:
		raw.Data = []byte(`{"a": 1,  "b":"<\u00e9>","big":123456789012345678901234567890}`)
	case 1:
		raw.Data = []byte("{\n\"line\": 1}")
	case 2:
		raw.Data = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")
	case 3:
		raw.Data, raw.Codec = []byte("123"), "cbor"
	case 4:
		raw.Data = []byte("null")
	}
	return eventlog.Tagged(raw, rapid.SliceOfNDistinct(rapid.SampledFrom(transferNames), 0, 3, rapid.ID[string]).Draw(t, "tags")...)
}

func transferMeta(t *rapid.T) eventlog.Meta {
	if rapid.Bool().Draw(t, "no meta") {
		return eventlog.Meta{}
	}
	m := eventlog.Meta{Actor: transferName(t, "actor"), Extra: map[string]string{transferName(t, "key"): "v\n"}}
	m.Correlation[3], m.Causation[5] = rapid.Byte().Draw(t, "correlation"), rapid.Byte().Draw(t, "causation")
	return m
}

// transferWrite does a random thing to a log.
func transferWrite(t *rapid.T, l *eventlog.Log, system bool) {
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		*tx.Meta() = transferMeta(t)
		table := eventlog.Table[string]{Name: transferName(t, "table")}
		for range rapid.IntRange(1, 5).Draw(t, "operations") {
			var err error
			switch op := rapid.IntRange(0, 9).Draw(t, "operation"); op {
			case 0:
				_, err = tx.Once(transferName(t, "stream"), transferName(t, "id"))
			case 1:
				err = table.Put(tx, transferName(t, "key"), "<value>")
			case 2:
				err = table.Delete(tx, transferName(t, "key"))
			case 3:
				undone := errors.New("undone")
				if err = tx.Savepoint(func() error { return errors.Join(tx.Append(transferName(t, "stream"), transferEvent(t)), undone) }); errors.Is(err, undone) {
					err = nil
				}
			case 4:
				if system {
					shard := rapid.IntRange(0, l.Shards()-1).Draw(t, "shard")
					err = tx.Append(fmt.Sprintf("$steps/%d", shard), sys.Event{Type: "$step", Data: []byte(`{}`), Tags: []string{"$step/1"}})
				}
			default:
				err = tx.Append(transferName(t, "stream"), transferEvent(t))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func transferLog(t *rapid.T, system bool) *eventlog.Log {
	l := transferOpen(t, rapid.SampledFrom([]int{1, 3, 16}).Draw(t, "shards"))
	for range rapid.IntRange(0, 12).Draw(t, "transactions") {
		transferWrite(t, l, system)
	}
	return l
}

type transferTB interface {
	Context() context.Context
	Cleanup(func())
	Fatal(...any)
	Helper()
}

func transferOpen(t transferTB, shards int) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(t.Context(), memlog.Open(), &eventlog.Options{Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(eventlog.Check(context.Background(), l), l.Close()); err != nil {
			t.Fatal(err)
		}
	})
	return l
}

func transferExport(t transferTB, l *eventlog.Log) string {
	t.Helper()
	var out bytes.Buffer
	if err := eventlog.Export(t.Context(), l, &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func transferImport(t transferTB, l *eventlog.Log, export string) eventlog.ImportResult {
	t.Helper()
	result, err := eventlog.Import(t.Context(), l, strings.NewReader(export))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func transferPosition(t transferTB, l *eventlog.Log) eventlog.Position {
	t.Helper()
	p, err := l.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExportImportExportIsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := transferLog(t, true)
		export := transferExport(t, from)
		to := transferOpen(t, from.Shards())
		transferImport(t, to, export)
		if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
			t.Fatalf("another export (-from +to):\n%s", diff)
		}
		if diff := cmp.Diff(transferRecords(t, from), transferRecords(t, to), cmpopts.IgnoreUnexported(eventlog.Record{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("other records (-from +to):\n%s", diff)
		}
		if got, want := transferPosition(t, to), transferPosition(t, from); got.String() != want.String() {
			t.Fatalf("position %s, want %s", got, want)
		}
		again := transferImport(t, to, export)
		if again.Transactions != 0 || again.Events != 0 || again.Rows != 0 {
			t.Fatalf("a second import did %+v", again)
		}
		if got, want := transferPosition(t, to), transferPosition(t, from); got.String() != want.String() {
			t.Fatalf("after a second import position %s, want %s", got, want)
		}
	})
}

func transferRecords(t transferTB, l *eventlog.Log) (list []eventlog.Record) {
	t.Helper()
	for r, err := range l.Read(t.Context(), eventlog.Query{System: true, Stored: true}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func transferRows(t transferTB, l *eventlog.Log) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	err := l.View(t.Context(), func(tx *eventlog.Tx) error {
		clear(rows)
		for _, name := range transferNames {
			for r, err := range (eventlog.Table[string]{Name: name}).All(tx, "") {
				if err != nil {
					return err
				}
				rows[name+"\x00"+r.Key] = r.Value
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestImportIntoAnotherNumberOfShards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := transferLog(t, false)
		to := transferOpen(t, rapid.SampledFrom([]int{1, 2, 16, 40}).Draw(t, "other shards"))
		export := transferExport(t, from)
		transferImport(t, to, export)
		transferImport(t, to, export)
		if diff := cmp.Diff(transferByID(t, from), transferByID(t, to), cmpopts.IgnoreUnexported(eventlog.Record{}), cmpopts.EquateEmpty(),
			cmpopts.IgnoreFields(eventlog.Record{}, "Shard", "Revision")); diff != "" {
			t.Fatalf("other records (-from +to):\n%s", diff)
		}
		if diff := cmp.Diff(transferRows(t, from), transferRows(t, to)); diff != "" {
			t.Fatalf("other rows (-from +to):\n%s", diff)
		}
		for _, stream := range transferNames {
			for _, id := range transferNames {
				if was, is := transferOnce(t, from, stream, id), transferOnce(t, to, stream, id); was != is {
					t.Fatalf("id %q of %q recorded: %t, in the copy: %t", id, stream, was, is)
				}
			}
		}
	})
}

func transferByID(t transferTB, l *eventlog.Log) map[eventlog.ID]eventlog.Record {
	byID := make(map[eventlog.ID]eventlog.Record)
	for _, r := range transferRecords(t, l) {
		byID[r.ID] = r
	}
	return byID
}

// transferOnce reports whether an id is recorded, and records nothing.
func transferOnce(t transferTB, l *eventlog.Log, stream, id string) (done bool) {
	t.Helper()
	stop := errors.New("stop")
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) (err error) {
		if done, err = tx.Once(stream, id); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	return done
}

func TestAnInterruptedImportGoesOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := transferLog(t, true)
		export := transferExport(t, from)
		to := transferOpen(t, from.Shards())
		for _, cut := range slices.Sorted(slices.Values(rapid.SliceOfN(rapid.IntRange(0, len(export)-2), 1, 3).Draw(t, "cuts"))) {
			if _, err := eventlog.Import(t.Context(), to, strings.NewReader(export[:cut])); err == nil {
				t.Fatalf("an export cut short at byte %d of %d was imported without an error", cut, len(export))
			}
		}
		transferImport(t, to, export)
		if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
			t.Fatalf("another export (-from +to):\n%s", diff)
		}
	})
}

func TestImportLeavesALogThatWentOnAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := transferLog(t, true)
		export := transferExport(t, from)
		to := transferOpen(t, from.Shards())
		transferImport(t, to, export)
		for range 3 {
			transferWrite(t, to, true)
		}
		before := transferExport(t, to)
		transferImport(t, to, export)
		if diff := cmp.Diff(before, transferExport(t, to)); diff != "" {
			t.Fatalf("the import changed a log that had it (-before +after):\n%s", diff)
		}
	})
}

// The copy follows the original: a later export brings what is new.
func TestImportOfALaterExport(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := transferLog(t, true)
		to := transferOpen(t, from.Shards())
		for range 3 {
			export := transferExport(t, from)
			transferImport(t, to, export)
			if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
				t.Fatalf("another export (-from +to):\n%s", diff)
			}
			if diff := cmp.Diff(transferRows(t, from), transferRows(t, to)); diff != "" {
				t.Fatalf("other rows (-from +to):\n%s", diff)
			}
			transferWrite(t, from, true)
		}
	})
}

func TestExportGoesOnBehindWhatWasBegun(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := transferLog(t, true)
		whole := transferExport(t, l)
		begun := whole[:rapid.IntRange(0, len(whole)).Draw(t, "begun")]
		var rest bytes.Buffer
		if err := eventlog.Export(t.Context(), l, &rest, &eventlog.ExportOptions{Begun: strings.NewReader(begun)}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, begun+rest.String()); diff != "" {
			t.Fatalf("begun with %d bytes (-whole +joined):\n%s", len(begun), diff)
		}
	})
}

func TestExportRefusesWhatAnotherLogBegan(t *testing.T) {
	t.Parallel()
	l := transferOpen(t, 2)
	transferAppend(t, l, "a", "b")
	whole := transferExport(t, l)
	for name, begun := range map[string]string{
		"another log": strings.Replace(whole, `"data":{"n":1}`, `"data":{"n":2}`, 1),
		"longer":      whole + "x",
		"no export":   "hello\n",
	} {
		err := eventlog.Export(t.Context(), l, new(bytes.Buffer), &eventlog.ExportOptions{Begun: strings.NewReader(begun)})
		if err == nil || !strings.Contains(err.Error(), "what was begun") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func transferAppend(t transferTB, l *eventlog.Log, streams ...string) {
	t.Helper()
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		for _, s := range streams {
			if err := tx.Append(s, eventlog.Raw{Type: "counted", Data: []byte(`{"n":1}`)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An export taken while others write holds each transaction whole or not at all,
// and tables as they were at its end.
func TestExportWhileOthersWrite(t *testing.T) {
	t.Parallel()
	l := transferOpen(t, 4)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	first := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
				for _, s := range []string{"a", "b", "c", "d", "e"} {
					if err := tx.Append(s, eventlog.Raw{Type: "counted", Data: fmt.Appendf(nil, "%d", n)}); err != nil {
						return err
					}
				}
				return nil
			})
			if n == 0 {
				close(first)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	<-first
	for range 6 {
		to := transferOpen(t, 4)
		transferImport(t, to, transferExport(t, l))
		heads := make(map[string]uint64)
		for s, err := range to.Streams(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			heads[s.Stream] = s.Version
		}
		if n := slices.Max(slices.Collect(maps.Values(heads))); len(heads) != 5 || n != slices.Min(slices.Collect(maps.Values(heads))) {
			t.Fatalf("a transaction over %v is cut", heads)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// What is under way and earlier than what can be seen already becomes part of an
// export: it waits.
func TestExportWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(t.Context(), faulty, &eventlog.Options{Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		names := [2]string{}
		for _, n := range transferNames {
			names[l.ShardOf(n)] = n
		}
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" && c.Write.Batches[0].Shard == 0 {
				return drivertest.Fault{Before: held}
			}
			return drivertest.Fault{}
		})
		var work sync.WaitGroup
		work.Go(func() { transferAppend(t, l, names[0]) })
		synctest.Wait()
		transferAppend(t, l, names[1]) // later, and durable
		var export string
		work.Go(func() { export = transferExport(t, l) })
		synctest.Wait()
		if export != "" {
			t.Errorf("the export did not wait:\n%s", export)
		}
		close(held)
		work.Wait()
		if n := strings.Count(export, `"n":1`); n != 2 {
			t.Errorf("the export has %d of 2 events:\n%s", n, export)
		}
	})
}
