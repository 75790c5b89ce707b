package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/outbox"
)

// BenchmarkDrain rolls b.N steps forward, which 64 clients enqueued in commits of
// 50, and compares with 64 clients that append one event at a time: embedded,
// durable, in the same run.
func BenchmarkDrain(b *testing.B) {
	for _, targets := range []int{1, 1000} {
		b.Run(fmt.Sprintf("targets=%d", targets), func(b *testing.B) {
			d, err := pebblelog.Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			l, err := eventlog.Open(b.Context(), d, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			const chunk = 50
			clients(b, (b.N+chunk-1)/chunk, func(i int) error {
				_, err := l.Update(b.Context(), func(tx *eventlog.Tx) error {
					if err := tx.Append(fmt.Sprintf("source/%d", i), Added{i}); err != nil {
						return err
					}
					for j := i * chunk; j < min(b.N, (i+1)*chunk); j++ {
						if err := outbox.Enqueue(tx, Add{fmt.Sprintf("target/%d", j%targets), j}); err != nil {
							return err
						}
					}
					return nil
				})
				return err
			})
			r := &outbox.Runner{Log: l, Handlers: []outbox.Handler{adding}, Targets: 64}
			b.ResetTimer()
			begin := time.Now()
			if err := r.Drain(b.Context()); err != nil {
				b.Fatal(err)
			}
			steps := float64(b.N) / time.Since(begin).Seconds()
			b.StopTimer()
			appends := clients(b, 20_000, func(i int) error {
				_, err := l.Append(b.Context(), fmt.Sprintf("target/%d", i%1000), nil, Added{1})
				return err
			})
			b.ReportMetric(steps, "steps/s")
			b.ReportMetric(appends, "appends/s")
			b.ReportMetric(steps/appends, "ratio")
		})
	}
}

// clients calls fn for 0 to n-1 from 64 goroutines and returns the rate.
func clients(b *testing.B, n int, fn func(i int) error) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(begin).Seconds()
}

// BenchmarkLatency is the time from the answer to the commit of a step to its
// effect, with nothing else to do, embedded: beside that of a commit alone, in
// the same run.
func BenchmarkLatency(b *testing.B) {
	d, err := pebblelog.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	l, err := eventlog.Open(b.Context(), d, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&outbox.Runner{Log: l, Handlers: []outbox.Handler{adding}, Sweep: time.Minute}).Run(ctx)
	}()
	var commits, effects []time.Duration
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		if _, err := l.Append(ctx, "plain/1", nil, Added{i}); err != nil {
			b.Fatal(err)
		}
		commits = append(commits, time.Since(begin))
		p, err := l.Update(ctx, func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, Add{"a/1", i}) })
		begin = time.Now()
		if err != nil {
			b.Fatal(err)
		}
		for r, err := range l.Read(ctx, eventlog.Query{Stream: "a/1", From: uint64(i + 1), Follow: true, Limit: 1}) {
			if err != nil || p.Covers(eventlog.Position{}.With(r.Shard, r.Revision)) {
				b.Fatal(err, r)
			}
		}
		effects = append(effects, time.Since(begin))
	}
	stop()
	if err := <-done; err != nil {
		b.Error(err)
	}
	slices.Sort(commits)
	slices.Sort(effects)
	at := func(list []time.Duration, q int) float64 { return float64(list[len(list)*q/100].Microseconds()) }
	b.ReportMetric(at(commits, 50), "commit-p50-us")
	b.ReportMetric(at(effects, 50), "effect-p50-us")
	b.ReportMetric(at(effects, 99), "effect-p99-us")
	b.ReportMetric(at(effects, 50)/at(commits, 50), "p50/commit")
}
