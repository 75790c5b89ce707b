package outbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestReactorStoredFormat: what is stored stays readable.
func TestReactorStoredFormat(t *testing.T) {
	t.Parallel()
	l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
	add(t, l, "a/1", 1, 2, 3)
	r := seeing(l)
	r.Batch = 2
	r.React = func(tx *eventlog.Tx, r eventlog.Record) error {
		if r.Version == 2 {
			return outbox.Abort(errFail)
		}
		return see(tx, r)
	}
	drainReactor(t, r)
	var b strings.Builder
	ids := map[string]string{}
	for r, err := range l.Read(t.Context(), eventlog.Query{System: true}) {
		if err != nil {
			t.Fatal(err)
		}
		ids[r.ID.String()] = fmt.Sprintf("ID-%s-%d", r.Stream, r.Version)
		if strings.HasPrefix(r.Stream, "$") {
			fmt.Fprintln(&b, r.Stream, r.Type, r.Tags, string(r.Data))
		}
	}
	got := b.String()
	for id, name := range ids {
		got = strings.ReplaceAll(got, id, name)
	}
	want := `$skipped-seeing/0 $react.skipped [] {"event":"ID-a/1-2","revision":1,"stream":"a/1","version":2,"type":"test.added","error":"out of order"}
$react-seeing/0 $react.moved [] {"revision":0,"done":2,"events":2,"skipped":1}
$react-seeing/0 $react.moved [] {"revision":1,"events":1}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
