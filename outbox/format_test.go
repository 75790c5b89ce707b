package outbox_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

// TestStoredFormat: what is stored stays readable. A change of the golden file
// is a change of the format.
func TestStoredFormat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			tx.Meta().Actor, tx.Meta().Traceparent = "ann", "00-1-2-01"
			return outbox.Enqueue(tx, Add{"a/1", 1})
		})
		if err != nil {
			t.Fatal(err)
		}
		enqueue(t, l, Fail{"a/1"})
		refused := outbox.Handler{Type: "test.refused", Do: func(*eventlog.Tx, outbox.Raw) error { return outbox.Abort(errFail) },
			Failed: func(*eventlog.Tx, outbox.Raw, error) error { return nil }}
		enqueue(t, l, named{"test.refused", "b/1", nil})
		enqueue(t, l, named{"test.unknown", "b/1", nil})
		h := failing(&outbox.Policy{Attempts: 2})
		drain(t, runner(l, adding, h, refused))
		time.Sleep(time.Second)
		drain(t, runner(l, adding, h, refused))

		var b strings.Builder
		ids := map[string]string{}
		for shard := range l.Shards() {
			for r, err := range l.Read(t.Context(), eventlog.Query{Shards: []int{shard}, System: true}) {
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(r.Stream, "$") {
					fmt.Fprintln(&b, r.Stream, r.Type, r.Tags, string(r.Data))
				}
			}
			value, version, err := l.ReadCell(t.Context(), fmt.Sprintf("$steps\x01cursor\x01%04d", shard))
			if err != nil {
				t.Fatal(err)
			}
			if version > 0 {
				fmt.Fprintf(&b, "cursor of %d: %s\n", shard, value)
			}
		}
		got := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllStringFunc(b.String(), func(id string) string {
			if ids[id] == "" {
				ids[id] = fmt.Sprintf("ID%d", len(ids)+1)
			}
			return ids[id]
		})
		got = regexp.MustCompile(`"[0-9T:.-]+Z"`).ReplaceAllStringFunc(got, func(s string) string {
			var at time.Time
			if err := json.Unmarshal([]byte(s), &at); err != nil {
				t.Error(err)
			}
			return `"TIME"`
		})
		compareGolden(t, "stored.golden", got)
	})
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
