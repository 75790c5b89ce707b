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

// BenchmarkWrite compares writes with the same bytes in a prepared bare file, in short
// rounds of one then the other, and prints the median rates and their ratio. A
// commit has two keys; in the last two rows it has one, its stream, and they are
// what eventlog makes of 64 and of 1024 appenders: sixteen lanes, each with one
// Write in flight.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []writeCase{
		{name: "writers=1", keys: 2, writers: 1, commits: 1, size: benchPayload, bare: 1},
		{name: "writers=64", keys: 2, writers: 64, commits: 1, size: benchPayload, bare: 64},
		{name: "writers=1024", keys: 2, writers: 1024, commits: 1, size: benchPayload, bare: 1024},
		{name: "writers=1/commits=500", keys: 2, writers: 1, commits: 500, size: benchPayload, bare: 1},
		{name: "writers=1/500-event-commit", keys: 2, writers: 1, commits: 1, size: 500 * benchPayload, bare: 1},
		{name: "lanes=16/commits=4", keys: 1, writers: 16, commits: 4, size: benchPayload, bare: 64},
		{name: "lanes=16/commits=64", keys: 1, writers: 16, commits: 64, size: benchPayload, bare: 1024},
	} {
		b.Run(c.name, c.run)
	}
}

// A writeCase has writers with so many commits of size bytes and so many keys in
// each Write; the bare file has so many appenders, with the same bytes in all.
type writeCase struct {
	name                               string
	keys, writers, commits, size, bare int
}

const benchRound = 200 * time.Millisecond

func (c writeCase) run(b *testing.B) {
	dir := benchDir(b)
	w := newWriters(b, filepath.Join(dir, "log"), c)
	bare, err := barefile.Open(filepath.Join(dir, "bare"), true)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	payload := make([]byte, c.size*c.commits*c.writers/c.bare)
	var ours, limit, ratio []float64
	b.ResetTimer()
	for b.Loop() {
		o := rate(c.writers, w.append) * float64(c.commits)
		m := rate(c.bare, func(int) error { return bare.Append(payload) }) * float64(len(payload)) / float64(c.size)
		ours, limit, ratio = append(ours, o), append(limit, m), append(ratio, o/m)
	}
	b.ReportMetric(median(ours), "commits/s")
	b.ReportMetric(median(limit), "bare/s")
	b.ReportMetric(median(ratio), "ratio")
	b.ReportMetric(0, "ns/op")
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
	writeCase
	log     *Log
	tails   []driver.Revision
	streams [benchStreams]atomic.Uint64
	names   [benchStreams]string
	data    []byte
}

func newWriters(b *testing.B, dir string, c writeCase) *writers {
	l, err := Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	w := &writers{writeCase: c, log: l, tails: make([]driver.Revision, c.writers), data: make([]byte, c.size)}
	for i := range w.data {
		w.data[i] = byte(rand.IntN(64))
	}
	for i := range w.names {
		w.names[i] = fmt.Sprintf("account/%d", i)
	}
	return w
}

// append writes the next commits of writer i.
func (w *writers) append(i int) error {
	commits := make([]driver.Commit, w.commits)
	first := w.tails[i] + 1
	for j := range commits {
		stream, rev := rand.IntN(benchStreams), first+driver.Revision(j)
		keys := []driver.Key{{Name: w.names[stream], Pos: w.streams[stream].Add(1)}, {Name: "tag", Pos: uint64(rev)}}
		commits[j] = driver.Commit{Revision: rev, Data: w.data, Keys: keys[:w.keys]}
	}
	batch := driver.Batch{Shard: i, First: first, Commits: commits}
	err := w.log.Write(context.Background(), driver.Write{Batches: []driver.Batch{batch}})
	if err == nil {
		w.tails[i] += driver.Revision(w.commits)
	}
	return err
}

// rate runs fn in n goroutines for a round and returns calls per second.
func rate(n int, fn func(i int) error) float64 {
	var wg sync.WaitGroup
	var count atomic.Int64
	start := time.Now()
	end := start.Add(benchRound)
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
