package bench

import (
	"context"
	"fmt"
	"time"
)

// What is filled in one go, and with how many appenders.
const (
	fillPart      = 100_000
	fillAppenders = 64
)

// fill stores events before anything is measured, in appends of Batch events, and
// notes whether the last part was slower than the first. Streams of ten events,
// for load, grow in between.
func (r *runner) fill(ctx context.Context) error {
	r.Progress("fill", 0, int64(r.Fill), "events")
	passes := 0
	if !r.Load {
		passes = loadEvents
	}
	var steady []float64 // rates of the first and the last part, to the bare file
	for done := 0; done < r.Fill || passes < loadEvents; {
		if n := min(fillPart, r.Fill-done); n > 0 {
			edge := done == 0 || done+n == r.Fill
			rate, limit, err := r.fillPart(ctx, n, edge)
			if err != nil {
				return err
			}
			if r.result.FillPerS = append(r.result.FillPerS, rate); edge {
				steady = append(steady, rate/limit)
			}
			done += n
		}
		for ; passes < loadEvents && passes*r.Fill <= done*loadEvents; passes++ {
			if err := r.loadPass(ctx); err != nil {
				return err
			}
		}
	}
	if n := len(r.result.FillPerS); n > 0 {
		r.result.FillEvents = r.Fill
		r.result.FillRatio = r.result.FillPerS[n-1] / r.result.FillPerS[0]
		r.result.FillSteady = steady[len(steady)-1] / steady[0]
	}
	return nil
}

// fillPart stores n events and returns how many a second, and, when asked, how
// many appends a second the bare file took just before and after.
func (r *runner) fillPart(ctx context.Context, n int, bare bool) (rate, limit float64, err error) {
	workers := min(fillAppenders, r.Streams)
	beside := &side{name: "limit", work: r.appendBare(r.bare)}
	turn := func() error {
		if !bare {
			return nil
		}
		return beside.turn(ctx, workers, min(warmUp, r.Duration), uint64(n))
	}
	if err := turn(); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	err = each(ctx, workers, uint64(begin.UnixNano()), func(ctx context.Context, w *worker) error {
		own := (r.Streams - w.n + workers - 1) / workers
		for left := (n + workers - 1 - w.n) / workers; left > 0; {
			k := min(left, r.Batch)
			if err := r.appendTo(ctx, w, w.n+workers*w.rng.IntN(own), k); err != nil {
				return fmt.Errorf("fill: %w", err)
			}
			left -= k
			if done := r.filled.Add(int64(k)); done%1000 == 0 {
				r.Progress("fill", done, int64(r.Fill), "events")
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	rate = float64(n) / time.Since(begin).Seconds()
	err = turn()
	return rate, median(beside.rates), err
}
