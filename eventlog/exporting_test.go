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
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

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
		faulty := drivertest.NewFaulty(memlog.NewStore().Open(), nil) // with others, each shard is written by itself
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
