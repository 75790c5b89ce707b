package bench

import (
	"context"
	"fmt"
	"runtime/pprof"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// replay reads all events back, shard by shard, through the public API (envelope
// decoded, payload raw), in turn with the same bytes through the driver alone.
func (r *runner) replay(ctx context.Context) error {
	var ours, alone []float64
	r.Progress("replay", 0, int64(r.Rounds), "rounds")
	for round := range r.Rounds {
		begin := time.Now()
		var events int64
		var err error
		pprof.Do(ctx, pprof.Labels("side", "replay"), func(ctx context.Context) { events, err = r.replayEvents(ctx) })
		if err != nil {
			return err
		}
		took := time.Since(begin)
		begin = time.Now()
		pprof.Do(ctx, pprof.Labels("side", "driver"), func(ctx context.Context) { err = r.replayDriver(ctx) })
		if err != nil {
			return err
		}
		r.result.ReplayEvents = events
		ours = append(ours, float64(events)/took.Seconds())
		alone = append(alone, float64(events)/time.Since(begin).Seconds())
		r.Progress("replay", int64(round+1), int64(r.Rounds), "rounds")
	}
	r.result.ReplayEventsPerS, r.result.ReplayDriverEventsPerS = median(ours), median(alone)
	r.result.ReplayRatio = medianRatio(ours, alone)
	return nil
}

func (r *runner) replayEvents(ctx context.Context) (events int64, err error) {
	bytes := 0
	for shard := range r.log.Shards() {
		for rec, err := range r.log.Read(ctx, eventlog.Query{Shards: []int{shard}}) {
			if err != nil {
				return 0, err
			}
			events++
			bytes += len(rec.Data)
		}
	}
	if bytes != int(events)*r.Size {
		return 0, fmt.Errorf("replay: %d events have %d bytes, want %d each", events, bytes, r.Size)
	}
	return events, nil
}

func (r *runner) replayDriver(ctx context.Context) error {
	bytes := 0
	for shard := range r.log.Shards() {
		for c, err := range r.store.Read(ctx, shard, driver.Range{From: 1}) {
			if err != nil {
				return err
			}
			bytes += len(c.Data)
		}
	}
	if bytes == 0 {
		return fmt.Errorf("replay: the driver has no bytes")
	}
	return nil
}
