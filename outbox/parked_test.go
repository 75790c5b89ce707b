package outbox_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestParked: of all that is pending, Parked yields what is parked and of a type with
// the prefix, as Pending does, and no more once it is done.
func TestParked(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for n := range 300 { // more than a page, in all shards
		enqueue(t, l, named{"x/one", fmt.Sprint("a/", n), nil}, named{"x/two", fmt.Sprint("b/", n), nil}, named{"x0", "c", nil}, named{"x", "c", nil})
	}
	drain(t, runner(l, adding))
	enqueue(t, l, named{"x/one", "behind the cursor", nil}, Add{"c", 1})
	compare := func(prefix string, n int) {
		t.Helper()
		var want, got []string
		for _, i := range pending(t, l) {
			if i.Parked != "" && strings.HasPrefix(i.Type, prefix) {
				want = append(want, line(i))
			}
		}
		for i, err := range outbox.Parked(t.Context(), l, prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line(i))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: (-pending +parked)\n%s", prefix, diff)
		}
		if len(got) != n {
			t.Errorf("%q: %d, want %d", prefix, len(got), n)
		}
	}
	for prefix, n := range map[string]int{"": 1200, "x/": 600, "x/one": 300, "x": 1200, "x/t": 300, "y": 0, "x/\u00ff": 0} {
		compare(prefix, n)
	}
	drain(t, runner(l, adding, outbox.Handler{Type: "x/one", Do: func(*eventlog.Tx, outbox.Raw) error { return nil }}))
	compare("x/", 300)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range outbox.Parked(ctx, l, "") {
		if err == nil {
			t.Error("a context that has ended is no error")
		}
		break
	}
}

func line(i outbox.Info) string { return fmt.Sprint(i.ID, i.Type, i.Target, i.Parked, i.Stopped) }
