package eventlog_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestResume cuts readings behind every record and goes on after the position:
// nothing is lost, and nothing comes twice but the events of a commit that was
// cut in the middle.
func TestResume(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 3})
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 15 {
		update(t, l, func(tx *eventlog.Tx) error {
			for range 1 + rng.IntN(6) {
				e := eventlog.Tagged(entry{fmt.Sprint(n)}, fmt.Sprint("tag", rng.IntN(2)))
				if err := tx.Append(fmt.Sprintf("s/%d", rng.IntN(5)), e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for name, q := range map[string]eventlog.Query{
		"log": {}, "stream": {Stream: "s/1"}, "tag": {Tag: "tag1"}, "shard": {Shards: []int{2}}, "limit": {Limit: 7}, "two shards": {Shards: []int{2, 0}},
	} {
		whole := collect(t, l.Read(t.Context(), eventlog.Query{Stream: q.Stream, Tag: q.Tag, Shards: q.Shards}))
		for cut := 1; cut <= len(whole); cut++ {
			checkResume(t, l, name, q, whole, cut)
		}
	}
}

// checkResume reads in pieces of so many records.
func checkResume(t *testing.T, l *eventlog.Log, name string, q eventlog.Query, whole []eventlog.Record, cut int) {
	t.Helper()
	type part struct {
		shard int
		rev   uint64
	}
	complete := make(map[part]bool)
	seen := make(map[eventlog.ID]bool)
	for more := true; more; {
		more = false
		n, before := 0, q.After.String()
		for r, err := range l.Read(t.Context(), q) {
			is(t, err, nil)
			p := part{r.Shard, uint64(r.Revision)}
			if complete[p] {
				t.Fatalf("%s cut at %d: %v comes again after its commit was complete", name, cut, r.ID)
			}
			more, seen[r.ID] = true, true
			if q.After.Advance(r); r.Last() {
				complete[p] = true
			}
			// Cut here, unless the position is still where it was: then this is
			// the middle of the first commit, and the reading would never get on.
			if n++; n >= cut && q.After.String() != before {
				break
			}
		}
		stored, err := eventlog.ParsePosition(q.After.String())
		is(t, err, nil)
		q.After = stored
	}
	for _, r := range whole {
		if !seen[r.ID] {
			t.Errorf("%s cut at %d: %v is lost", name, cut, r.ID)
		}
	}
	if len(seen) != len(whole) {
		t.Errorf("%s cut at %d: %d records seen, expected %d", name, cut, len(seen), len(whole))
	}
}
