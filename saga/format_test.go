package saga_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestStoredFormat: what is stored stays readable. A change of the golden file
// is a change of the format.
func TestStoredFormat(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	open(t, l, "account/a", 100)
	open(t, l, "account/b", 0)
	start(t, l, &transfer, "good", Transfer{"account/a", "account/b", 1})
	start(t, l, &transfer, "bad", Transfer{"account/a", "account/c", 1})
	drain(t, l, transfer.Handlers()...)
	var b strings.Builder
	for _, id := range []string{"good", "bad"} {
		for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "$saga-transfer/" + id}) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, r.Stream, r.Type, string(r.Data))
		}
	}
	steps := map[string]string{} // their order over the shards is nobody's business
	for shard := range l.Shards() {
		for r, err := range l.Read(t.Context(), eventlog.Query{Stream: fmt.Sprintf("$steps/%d", shard)}) {
			if err != nil {
				t.Fatal(err)
			}
			var step struct {
				Type, Target string
				Data         any
			}
			if err := r.Decode(&step); err != nil {
				t.Fatal(err)
			}
			steps[step.Type+" "+step.Target] = fmt.Sprint(step.Data)
		}
	}
	for _, s := range []string{
		"$saga/transfer/debit/do account/a", "$saga/transfer/debit/undo account/a",
		"$saga/transfer/credit/do account/b", "$saga/transfer/credit/do account/c", "$saga/transfer $saga-transfer/bad",
	} {
		fmt.Fprintln(&b, s, steps[s])
	}
	file := filepath.Join("testdata", "stored.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
