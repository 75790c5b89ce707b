package eventlog_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRevisionsAndVersionsHaveNoGaps: several processes write to one store that
// fails now and then, while followers of every shard resume where an error cut
// them. Each sees every event of its shard once, in order.
func TestRevisionsAndVersionsHaveNoGaps(t *testing.T) {
	t.Parallel()
	const processes, writers, writes = 3, 4, 40
	store := memlog.NewStore()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var logs []*eventlog.Log
	var faults []*drivertest.Faulty
	for range processes {
		f := drivertest.NewFaulty(store.Open(), nil)
		logs, faults = append(logs, over(t, f, &eventlog.Options{Shards: 3})), append(faults, f)
	}
	for i, f := range faults {
		f.Inject(drivertest.Chaos(seed+uint64(i), drivertest.Even))
	}
	var following sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	seen := make([][]eventlog.Record, logs[0].Shards())
	for shard := range seen {
		following.Go(func() { seen[shard] = followShard(ctx, logs[shard%processes], shard) })
	}
	var writing sync.WaitGroup
	for w := range writers {
		for p, l := range logs {
			writing.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(w*processes+p)))
				for n := range writes {
					writeSome(l, rng, fmt.Sprintf("%d.%d.%d", p, w, n))
				}
			})
		}
	}
	writing.Wait()
	for _, f := range faults {
		f.Inject(nil)
	}
	ends := make([]eventlog.Position, len(seen))
	for shard := range ends { // the last event that a follower waits for
		ends[shard] = add(t, logs[0], inShard(logs[0], shard, "end"), "end")
	}
	following.Wait()
	cancel()
	for shard, list := range seen {
		checkNumbers(t, shard, list)
		stored := collect(t, logs[0].Read(t.Context(), eventlog.Query{Shards: []int{shard}}))
		if !slices.EqualFunc(list, stored, func(a, b eventlog.Record) bool { return a.ID == b.ID }) {
			t.Errorf("shard %d: the follower saw %d events, stored are %d", shard, len(list), len(stored))
		}
		if last := list[len(list)-1].Revision; last != ends[shard].Revision(shard) {
			t.Errorf("shard %d: the last revision is %d, the append said %s", shard, last, ends[shard])
		}
	}
}

// followShard follows a shard until the entry "end", over all errors.
func followShard(ctx context.Context, l *eventlog.Log, shard int) (seen []eventlog.Record) {
	var at eventlog.Position
	end := inShard(l, shard, "end")
	for ctx.Err() == nil {
		for r, err := range l.Read(ctx, eventlog.Query{Shards: []int{shard}, After: at, Follow: true}) {
			if err != nil {
				break // resume
			}
			seen = append(seen, r)
			at.Advance(r)
			if r.Stream == end {
				return seen
			}
		}
	}
	return seen
}

// writeSome appends to up to three streams; it may fail or be refused.
func writeSome(l *eventlog.Log, rng *rand.Rand, id string) {
	streams := []string{"a", "b", "c", "d", "own/" + id}
	rng.Shuffle(len(streams), func(i, j int) { streams[i], streams[j] = streams[j], streams[i] })
	_, _ = l.Update(context.Background(), func(tx *eventlog.Tx) error {
		if _, err := diaries.Load(tx, streams[0]); err != nil {
			return err
		}
		for i, s := range streams[:1+rng.IntN(3)] {
			if err := tx.Append(s, entries(id, id)[:1+i%2]...); err != nil {
				return err
			}
		}
		if rng.IntN(5) == 0 {
			return errNo
		}
		return nil
	})
}

// checkNumbers checks what one shard showed: revisions never fall, and the
// versions of every stream are 1, 2, 3 …
func checkNumbers(t *testing.T, shard int, list []eventlog.Record) {
	t.Helper()
	versions := make(map[string]uint64)
	for i, r := range list {
		if i > 0 && r.Revision < list[i-1].Revision {
			t.Fatalf("shard %d: revision %d after %d", shard, r.Revision, list[i-1].Revision)
		}
		if i > 0 && r.Revision > list[i-1].Revision && !r.Time.After(list[i-1].Time) {
			t.Fatalf("shard %d: time %s at revision %d, %s at %d", shard, r.Time, r.Revision, list[i-1].Time, list[i-1].Revision)
		}
		if versions[r.Stream]++; r.Version != versions[r.Stream] {
			t.Fatalf("shard %d: %s has version %d, expected %d", shard, r.Stream, r.Version, versions[r.Stream])
		}
	}
	if len(list) < 10 {
		t.Errorf("shard %d: only %d events of streams %v", shard, len(list), slices.Collect(maps.Keys(versions)))
	}
}

// TestRevisionsCountCommits: without faults every commit carries events, and
// the revisions of its records are 1, 2, 3 …
func TestRevisionsCountCommits(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 2})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 50 {
				if _, err := l.Append(t.Context(), fmt.Sprintf("s/%d", (w+n)%5), nil, entry{"x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for shard := range 2 {
		for i, r := range collect(t, l.Read(t.Context(), eventlog.Query{Shards: []int{shard}})) {
			if int(r.Revision) != i+1 {
				t.Fatalf("shard %d: record %d has revision %d", shard, i+1, r.Revision)
			}
		}
	}
}
