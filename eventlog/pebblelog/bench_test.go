package pebblelog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/barefile"
)

const (
	benchShards  = 16
	benchPayload = 350
	benchStreams = 10_000
)

// BenchmarkWrite compares appends of one commit of 350 bytes with two keys,
// spread over 16 shards, with the same bytes in a bare file, in rounds of one
// then the other. It prints appends/s of both and the ratio.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct{ appenders, batch int }{{1, 1}, {64, 1}, {1024, 1}, {1, 500}} {
		b.Run(fmt.Sprintf("appenders=%d/batch=%d", c.appenders, c.batch), func(b *testing.B) {
			dir := benchDir(b)
			w := newWriters(b, filepath.Join(dir, "log"), max(c.appenders, benchShards))
			bare, err := barefile.Open(filepath.Join(dir, "bare"))
			if err != nil {
				b.Fatal(err)
			}
			defer bare.Close()
			payload := make([]byte, benchPayload*c.batch)
			var ours, limit []float64
			b.ResetTimer()
			for b.Loop() {
				ours = append(ours, rate(c.appenders, func(i int) error { return w.append(i, c.batch) }))
				limit = append(limit, rate(c.appenders, func(int) error { return bare.Append(payload) }))
			}
			o, m := median(ours), median(limit)
			b.ReportMetric(o, "appends/s")
			b.ReportMetric(m, "bare/s")
			b.ReportMetric(o/m, "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchDir is on a real disk: TMPDIR may be memory.
func benchDir(b *testing.B) string {
	dir := os.Getenv("ROLLFORWARD_BENCH_DIR")
	if dir == "" {
		return b.TempDir()
	}
	dir, err := os.MkdirTemp(dir, "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// writers append, each to a shard of its own: a shard takes one Write at a time.
type writers struct {
	log     *Log
	tails   []driver.Revision
	streams [benchStreams]atomic.Uint64
	names   [benchStreams]string
	data    []byte
}

func newWriters(b *testing.B, dir string, shards int) *writers {
	l, err := Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	w := &writers{log: l, tails: make([]driver.Revision, shards), data: make([]byte, benchPayload)}
	for i := range w.data {
		w.data[i] = byte(rand.IntN(64))
	}
	for i := range w.names {
		w.names[i] = fmt.Sprintf("account/%d", i)
	}
	return w
}

// append writes n commits behind the tail of shard i.
func (w *writers) append(i, n int) error {
	commits := make([]driver.Commit, n)
	keys := make([]driver.Key, 2*n)
	first := w.tails[i] + 1
	for j := range commits {
		stream, rev := rand.IntN(benchStreams), first+driver.Revision(j)
		k := keys[2*j : 2*j+2]
		k[0] = driver.Key{Name: w.names[stream], Pos: w.streams[stream].Add(1)}
		k[1] = driver.Key{Name: "tag", Pos: uint64(rev)}
		commits[j] = driver.Commit{Revision: rev, Data: w.data, Keys: k}
	}
	batch := driver.Batch{Shard: i, First: first, Commits: commits}
	err := w.log.Write(context.Background(), driver.Write{Batches: []driver.Batch{batch}})
	if err == nil {
		w.tails[i] += driver.Revision(n)
	}
	return err
}

// rate runs fn in n goroutines for a second and returns calls per second.
func rate(n int, fn func(i int) error) float64 {
	var wg sync.WaitGroup
	var count atomic.Int64
	start := time.Now()
	end := start.Add(time.Second)
	for i := range n {
		wg.Go(func() {
			for time.Now().Before(end) {
				if err := fn(i); err != nil {
					panic(err)
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
