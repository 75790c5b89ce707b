package pebblelog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// BenchmarkRead reads a log of a million commits of 350 bytes (or
// ROLLFORWARD_BENCH_COMMITS): all of it, and streams of 10 commits, which it
// compares with 10 point reads of the engine in the same run.
func BenchmarkRead(b *testing.B) {
	n := 1_000_000
	if s := os.Getenv("ROLLFORWARD_BENCH_COMMITS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	l := filled(b, n)
	b.Run("all", func(b *testing.B) { benchmarkReadAll(b, l, n) })
	b.Run("stream=10", func(b *testing.B) { benchmarkStream(b, l, n) })
	b.Run("absent", func(b *testing.B) { benchmarkAbsent(b, l) })
	b.Run("keys", func(b *testing.B) { benchmarkKeys(b, l, n) })
}

// filled writes n commits, ten of a stream one after the other in its life and
// far from each other in the log.
func filled(b *testing.B, n int) *Log {
	l, err := Open(benchDir(b)+"/log", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	streams := n / 10
	data := make([]byte, benchPayload)
	var tails [benchShards]driver.Revision
	for done := 0; done < n; {
		var batches [benchShards]driver.Batch
		for range min(1000, n-done) {
			stream := done % streams
			shard := stream % benchShards
			tails[shard]++
			t := &batches[shard]
			if len(t.Commits) == 0 {
				t.Shard, t.First = shard, tails[shard]
			}
			for i := range data {
				data[i] = byte('a' + rand.IntN(16))
			}
			t.Commits = append(t.Commits, driver.Commit{Revision: tails[shard], Data: slices.Clone(data), Keys: []driver.Key{
				{Name: fmt.Sprintf("account/%d", stream), Pos: uint64(done/streams + 1)},
			}})
			done++
		}
		w := slices.DeleteFunc(slices.Clone(batches[:]), func(b driver.Batch) bool { return len(b.Commits) == 0 })
		if err := l.Write(context.Background(), driver.Write{Batches: w}); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

func benchmarkReadAll(b *testing.B, l *Log, n int) {
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		for shard := range benchShards {
			for _, err := range l.Read(context.Background(), shard, driver.Range{}) {
				if err != nil {
					b.Fatal(err)
				}
				count++
			}
		}
		if count != n {
			b.Fatal(count)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func benchmarkStream(b *testing.B, l *Log, n int) {
	b.ReportAllocs()
	streams := n / 10
	var ours, engine []float64
	for b.Loop() {
		stream := rand.IntN(streams)
		shard := stream % benchShards
		var revs []driver.Revision
		start := time.Now()
		for c, err := range l.Find(context.Background(), shard, fmt.Sprintf("account/%d", stream), driver.Range{}) {
			if err != nil {
				b.Fatal(err)
			}
			revs = append(revs, c.Revision)
		}
		ours = append(ours, float64(time.Since(start)))
		if len(revs) != 10 {
			b.Fatal(len(revs))
		}
		other := rand.IntN(streams) // its commits are not in the processor's cache
		start = time.Now()
		for i := range 10 {
			rev := driver.Revision((other+i*streams)/benchShards + 1)
			_, closer, err := l.db.Get(appendCommitKey(nil, other%benchShards, rev))
			if err != nil {
				b.Fatal(err)
			}
			closer.Close()
		}
		engine = append(engine, float64(time.Since(start)))
	}
	o, e := median(ours), median(engine)
	b.ReportMetric(o, "p50-ns")
	b.ReportMetric(e, "10gets-p50-ns")
	b.ReportMetric(o/e, "ratio")
}

func benchmarkAbsent(b *testing.B, l *Log) {
	b.ReportAllocs()
	for b.Loop() {
		for range l.Find(context.Background(), rand.IntN(benchShards), fmt.Sprintf("absent/%d", rand.Int()), driver.Range{}) {
			b.Fatal("found")
		}
	}
}

func benchmarkKeys(b *testing.B, l *Log, n int) {
	for b.Loop() {
		count := 0
		for shard := range benchShards {
			for _, err := range l.Keys(context.Background(), shard, "account/", "") {
				if err != nil {
					b.Fatal(err)
				}
				count++
			}
		}
		if count != n/10 {
			b.Fatal(count)
		}
	}
	b.ReportMetric(float64(n/10)*float64(b.N)/b.Elapsed().Seconds(), "names/s")
}
