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
// reports whether the last were slower than the first. Streams of ten events, for
// load, grow in between.
func (r *runner) fill(ctx context.Context) error {
	if r.Fill == 0 && !r.Load {
		return nil
	}
	var rates []float64
	passes := 0
	for done := 0; done < r.Fill || passes < loadEvents; {
		if done < r.Fill {
			n := min(fillPart, r.Fill-done)
			rate, err := r.fillPart(ctx, n, uint64(done))
			if err != nil {
				return err
			}
			if rates = append(rates, rate); n < fillPart && len(rates) > 1 {
				rates = rates[:len(rates)-1] // a part that is not whole
			}
			done += n
			r.Progress("fill", int64(done), int64(r.Fill), "events")
		}
		for ; r.Load && passes < loadEvents && passes*r.Fill <= done*loadEvents; passes++ {
			if err := r.loadPass(ctx); err != nil {
				return err
			}
		}
		if !r.Load {
			passes = loadEvents
		}
	}
	if r.Fill > 0 {
		r.result.FillEvents = r.Fill
		r.result.FillFirstPerS, r.result.FillLastPerS = rates[0], rates[len(rates)-1]
		r.result.FillRatio = rates[len(rates)-1] / rates[0]
	}
	return nil
}

// fillPart stores n events and returns how many a second.
func (r *runner) fillPart(ctx context.Context, n int, seed uint64) (float64, error) {
	workers := min(fillAppenders, r.Streams)
	begin := time.Now()
	err := each(ctx, workers, seed, func(w *worker) error {
		own := (r.Streams - w.n + workers - 1) / workers
		for left := (n + workers - 1 - w.n) / workers; left > 0; {
			k := min(left, r.Batch)
			if err := r.appendTo(ctx, w, w.n+workers*w.rng.IntN(own), k); err != nil {
				return fmt.Errorf("fill: %w", err)
			}
			left -= k
		}
		return nil
	})
	return float64(n) / time.Since(begin).Seconds(), err
}
