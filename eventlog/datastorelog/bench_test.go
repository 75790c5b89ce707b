package datastorelog

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/internal/relaxedbench"
)

// BenchmarkGroupCommit compares, in one run on each server, appends of 64 callers
// to one shard with as many writes of one append each, which follow each other as
// those of one shard must. It prints the ratio, and calls and entities an append.
func BenchmarkGroupCommit(b *testing.B) {
	for _, leg := range legs {
		b.Run(leg.name, func(b *testing.B) {
			s := leg.server(b)
			m := new(meter)
			d := s.open(b, emulator.Project(), &Options{Hooks: m.hooks()})
			l, err := eventlog.Open(b.Context(), d, &eventlog.Options{Shards: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			const callers, time1, time2 = 64, 2 * time.Second, 2 * time.Second
			for i := range callers { // streams that are known
				if _, err := l.Append(b.Context(), fmt.Sprintf("s/%d", i), nil, noted{"warm"}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				m.take()
				alone := each(b, 1, time1, func(ctx context.Context, _ int) error {
					_, err := l.Append(ctx, "s/0", nil, noted{"x"})
					return err
				})
				m.take()
				grouped := each(b, callers, time2, func(ctx context.Context, i int) error {
					_, err := l.Append(ctx, fmt.Sprintf("s/%d", i), nil, noted{"x"})
					return err
				})
				usage, calls := m.take()
				rpcs := 0
				for _, n := range calls {
					rpcs += n
				}
				b.ReportMetric(grouped/time2.Seconds(), "appends/s")
				b.ReportMetric(alone/time1.Seconds(), "alone/s")
				b.ReportMetric((grouped/time2.Seconds())/(alone/time1.Seconds()), "x")
				b.ReportMetric(float64(rpcs)/grouped, "calls/append")
				b.ReportMetric(float64(usage.Writes)/grouped, "entities/append")
				b.ReportMetric(float64(usage.Reads)/grouped, "reads/append")
			}
		})
	}
}

// each lets callers append for a while and returns how many appends there were.
func each(b *testing.B, callers int, d time.Duration, f func(context.Context, int) error) float64 {
	end := time.Now().Add(d)
	counts := make([]int, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for time.Now().Before(end) {
				if err := f(b.Context(), i); err != nil {
					b.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	n := 0
	for _, c := range counts {
		n += c
	}
	return float64(n)
}

// BenchmarkRelaxed compares, in one run on each server, relaxed appends to one shard with
// strict ones, from one process and from four.
func BenchmarkRelaxed(b *testing.B) {
	for _, leg := range legs {
		b.Run(leg.name, func(b *testing.B) {
			s := leg.server(b)
			for b.Loop() {
				project := emulator.Project()
				r, err := relaxedbench.Run(b.Context(), relaxedbench.Config{Open: func(mode int) (driver.Log, error) {
					// An emulator's queries take longer the more there is.
					return Open(b.Context(), project, s.with(&Options{Namespace: fmt.Sprintf("mode%d", mode), Timeout: time.Minute}))
				}})
				if err != nil {
					b.Fatal(err)
				}
				acknowledged, folded := r.Ratio()
				b.ReportMetric(r.StrictOne.Acknowledged, "strict/s")
				b.ReportMetric(r.RelaxedOne.Acknowledged, "relaxed/s")
				b.ReportMetric(r.Strict.Acknowledged, "4-strict/s")
				b.ReportMetric(r.Relaxed.Acknowledged, "4-relaxed/s")
				b.ReportMetric(acknowledged, "x")
				b.ReportMetric(folded, "x-folded")
			}
		})
	}
}

// BenchmarkReplay measures what a reader of one shard takes, in blocks of 100.
func BenchmarkReplay(b *testing.B) {
	for _, leg := range legs {
		b.Run(leg.name, func(b *testing.B) {
			l := leg.server(b).open(b, emulator.Project(), nil)
			const blocks, size = 50, 100
			for i := range blocks {
				batch := driver.Batch{First: driver.Revision(i*size + 1)}
				for j := range size {
					rev := batch.First + driver.Revision(j)
					batch.Commits = append(batch.Commits, driver.Commit{Revision: rev, Data: make([]byte, 300), Keys: []driver.Key{{Name: fmt.Sprint("s", j), Pos: uint64(rev)}}})
				}
				if err := l.Write(b.Context(), driver.Write{Batches: []driver.Batch{batch}}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				for _, err := range l.Read(b.Context(), 0, driver.Range{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*blocks*size)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
