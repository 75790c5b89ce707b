package eventlog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
)

// TestStreams lists streams by prefix, in order, with their versions.
func TestStreams(t *testing.T) {
	t.Parallel()
	eachDriver(t, &eventlog.Options{Shards: 4}, func(t *testing.T, l *eventlog.Log) {
		versions := map[string]int{"b": 1, "a/2": 2, "a/10": 3, "a": 1, "a/1": 1, "ab": 2, "{a}/x": 1, "ä": 1, "a b": 1}
		for stream, n := range versions {
			add(t, l, stream, slices.Repeat([]string{"x"}, n)...)
		}
		for i := range 700 {
			add(t, l, fmt.Sprintf("many/%03d", i), "x")
		}
		update(t, l, func(tx *eventlog.Tx) error { _, err := tx.Once("never", "id"); return err })
		list := func(prefix string) string {
			var out []string
			for _, s := range collect(t, l.Streams(t.Context(), prefix)) {
				if s.Shard != l.ShardOf(s.Stream) {
					t.Errorf("%s lies in shard %d, not %d", s.Stream, l.ShardOf(s.Stream), s.Shard)
				}
				if out = append(out, fmt.Sprintf("%s@%d", s.Stream, s.Version)); strings.HasPrefix(s.Stream, "many/") {
					out = out[:len(out)-1]
				}
			}
			return strings.Join(out, ", ")
		}
		for prefix, want := range map[string]string{
			"":     "a@1, a b@1, a/1@1, a/10@3, a/2@2, ab@2, b@1, {a}/x@1, ä@1",
			"a/":   "a/1@1, a/10@3, a/2@2",
			"a/1":  "a/1@1, a/10@3",
			"c":    "",
			"a/10": "a/10@3",
		} {
			if got := list(prefix); got != want {
				t.Errorf("streams under %q: %s; expected %s", prefix, got, want)
			}
		}
		if n := len(collect(t, l.Streams(t.Context(), "many/"))); n != 700 {
			t.Errorf("%d streams, expected 700", n)
		}
		for after, n := range map[string]int{"": 700, "many": 700, "many/000": 699, "many/698": 1, "many/699": 0, "n": 0, "$steps/1": 700} {
			list := collect(t, l.StreamsAfter(t.Context(), "many/", after))
			if len(list) != n || n > 0 && list[n-1].Stream != "many/699" {
				t.Errorf("%d streams behind %q, expected %d", len(list), after, n)
			}
		}
		if n := len(collect(t, l.Streams(t.Context(), "$"))); n != 0 {
			t.Errorf("%d system streams, expected none", n)
		}
	})
}
