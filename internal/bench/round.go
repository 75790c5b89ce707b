package bench

import (
	"context"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A worker is one of those who work at the same time.
type worker struct {
	n    int
	rng  *rand.Rand
	hist histogram
	done int64
}

// A side is one of the things compared. Its name is the label "side" in CPU
// profiles.
type side struct {
	name  string
	work  func(ctx context.Context, w *worker) error // one operation
	rates []float64                                  // operations/s of each round
	hist  histogram
	cpu   time.Duration // of the whole process, during the side's turns
}

// turn runs a side's work in n workers for d.
func (s *side) turn(ctx context.Context, n int, d time.Duration, seed uint64) error {
	workers := make([]worker, n)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	cpu := cpuTime()
	labels := pprof.WithLabels(ctx, pprof.Labels("side", s.name))
	defer context.AfterFunc(ctx, func() {
		err := context.Cause(ctx)
		failed.CompareAndSwap(nil, &err)
	})()
	begin := time.Now()
	for i := range workers {
		w := &workers[i]
		w.n, w.rng = i, rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			pprof.SetGoroutineLabels(labels) // its own goroutines inherit them
			for at := begin; at.Sub(begin) < d && failed.Load() == nil; {
				if err := s.work(ctx, w); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				now := time.Now()
				w.hist.add(now.Sub(at))
				at = now
				w.done++
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin).Seconds()
	s.cpu += cpuTime() - cpu
	if err := failed.Load(); err != nil {
		return *err
	}
	total := int64(0)
	for i := range workers {
		total += workers[i].done
		s.hist.merge(&workers[i].hist)
	}
	s.rates = append(s.rates, float64(total)/elapsed)
	return nil
}

// cpuPer is the CPU time of an operation in microseconds. Unlike a rate it says
// the same on a busy machine.
func (s *side) cpuPer() float64 {
	return float64(s.cpu.Nanoseconds()) / 1e3 / float64(max(s.hist.n, 1))
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianRatio is that of the rounds' ratios: what slows both sides of a round
// does not count.
func medianRatio(a, b []float64) float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return median(list)
}
