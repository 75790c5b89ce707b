package eventlog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
)

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
