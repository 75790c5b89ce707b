package datastoresink_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// TestFormat holds what is stored still: docs/format.md, section 7.
func TestFormat(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		ctx := soon(t)
		c := l.client(t, emulator.Project(), nil)
		s := newSink(t, c, &datastoresink.Options{Namespace: "acme"})
		for held := range 2 {
			if err := s.Reset(ctx, projection.Reset{Name: "a/b", Held: held, Version: 1, Shards: 2}, datastoresink.Empty); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Unix(1, 5).UTC()
		to := projection.Checkpoint{Shard: 1, Revision: 9, Handled: 4, Skipped: 3, Last: projection.Mark{Revision: 8, Commit: eventlog.ID{1}, Time: at}}
		err := s.Apply(ctx, projection.Batch{Name: "a/b", Version: 1, Moves: []projection.Move{{From: projection.Checkpoint{Shard: 1}, To: to}}}, datastoresink.Empty)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Note(ctx, "a/b", &projection.Stop{Version: 1, Time: at, Reason: "r", Shard: 1, Revision: 7}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, kind := range []string{"projection", "checkpoint", "stop", "garbage"} {
			var list []datastore.PropertyList
			keys, err := c.GetAll(ctx, datastore.NewQuery("rollforward_"+kind).Namespace("acme"), &list)
			if err != nil {
				t.Fatal(err)
			}
			for i, k := range keys {
				got = append(got, stored(k, list[i]))
			}
		}
		want := []string{
			"/rollforward_projection,a/b: Format=1 Rows=acme.a_b.* Shards=2 Version=1",
			"/rollforward_projection,a/b/rollforward_checkpoint,1: Apply= Handled=0 LastCommit= LastNanos=0 LastRevision=0 Revision=0 Rows=acme.a_b.* Skipped=0 Version=1",
			"/rollforward_projection,a/b/rollforward_checkpoint,2: Apply=* Handled=4 LastCommit=01000000-0000-0000-0000-000000000000 LastNanos=1000000005 LastRevision=8 Revision=9 Rows=acme.a_b.* Skipped=3 Version=1",
			"/rollforward_projection,a/b/rollforward_stop,1: Nanos=1000000005 Reason=r Revision=7 Shard=1 Version=1",
			"/rollforward_garbage,acme.a_b.*: ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// stored writes an entity with a star for what is random.
func stored(k *datastore.Key, props datastore.PropertyList) string {
	var list []string
	for _, p := range props {
		index := ""
		if !p.NoIndex {
			index = " (indexed)"
		}
		list = append(list, fmt.Sprintf("%s=%v%s", p.Name, p.Value, index))
	}
	slices.Sort(list)
	words := strings.Fields(k.String() + ": " + strings.Join(list, " "))
	for i, w := range words {
		before, _, dots := strings.Cut(w, "acme.a_b.")
		switch {
		case strings.HasSuffix(w, ":") && dots:
			words[i] = before + "acme.a_b.*:"
		case dots:
			words[i] = before + "acme.a_b.*"
		case strings.HasPrefix(w, "Apply=") && len(w) > 6:
			words[i] = "Apply=*"
		}
	}
	if len(list) == 0 {
		return words[0] + " "
	}
	return strings.Join(words, " ")
}
