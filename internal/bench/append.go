package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/barefile"
)

// warmUp is how long each side works before it counts.
const warmUp = 500 * time.Millisecond

// measure lets the log and the bare files take turns, and, when one stream is hot,
// the same work spread over all streams. Each round begins with another side: what
// the log leaves to be done in the background falls upon whoever comes next.
func (r *runner) measure(ctx context.Context) error {
	ours, limit := &side{name: "ours", work: r.appendOwn}, &side{name: "limit", work: r.appendBare(r.bare)}
	prepared := &side{name: "prepared", work: r.appendBare(r.prepared)}
	sides := []*side{ours, limit, prepared}
	spread := &side{name: "spread", work: func(ctx context.Context, w *worker) error {
		return r.modify(ctx, w, streamName(w.rng.IntN(r.Streams)))
	}}
	if r.Hot {
		ours.work = func(ctx context.Context, w *worker) error { return r.modify(ctx, w, "hot/1") }
		sides = append(sides, spread)
	}
	r.Progress("measure", 0, int64(r.Rounds), "rounds")
	for _, s := range sides {
		if err := s.turn(ctx, r.Appenders, min(warmUp, r.Duration), 0); err != nil {
			return err
		}
		*s = side{name: s.name, work: s.work}
	}
	atomic.StoreInt64(&r.result.Reruns, 0)
	for round := range r.Rounds {
		for i := range sides {
			s := sides[(round+i)%len(sides)]
			if err := s.turn(ctx, r.Appenders, r.Duration/time.Duration(r.Rounds), uint64(round+1)); err != nil {
				return err
			}
		}
		r.Progress("measure", int64(round+1), int64(r.Rounds), "rounds")
	}
	r.report(ours, limit, prepared, spread)
	return nil
}

func (r *runner) report(ours, limit, prepared, spread *side) {
	out, batch := r.result, float64(r.Batch)
	out.AppendsPerS, out.LimitAppendsPerS = median(ours.rates), median(limit.rates)
	out.EventsPerS, out.LimitEventsPerS = out.AppendsPerS*batch, out.LimitAppendsPerS*batch
	out.Ratio = medianRatio(ours.rates, limit.rates)
	out.PreparedAppendsPerS, out.PreparedRatio = median(prepared.rates), medianRatio(ours.rates, prepared.rates)
	out.P50, out.P99, out.P999 = ours.hist.quantile(0.5), ours.hist.quantile(0.99), ours.hist.quantile(0.999)
	out.LimitP50, out.LimitP99, out.LimitP999 = limit.hist.quantile(0.5), limit.hist.quantile(0.99), limit.hist.quantile(0.999)
	out.CPU, out.LimitCPU = ours.cpuPer(), limit.cpuPer()
	for i := range ours.rates {
		round := Round{Ours: ours.rates[i], Limit: limit.rates[i], Prepared: prepared.rates[i]}
		if r.Hot {
			round.Other = spread.rates[i]
		}
		out.Rounds = append(out.Rounds, round)
	}
	if r.Hot {
		out.SpreadCPU = spread.cpuPer()
		out.SpreadAppendsPerS, out.HotRatio = median(spread.rates), medianRatio(ours.rates, spread.rates)
	}
}

func streamName(n int) string { return fmt.Sprintf("account/%d", n) }

// appendOwn appends to one of the worker's own streams, of which it knows the
// version: that is the condition.
func (r *runner) appendOwn(ctx context.Context, w *worker) error {
	own := (r.Streams - w.n + r.Appenders - 1) / r.Appenders
	n := w.n + r.Appenders*w.rng.IntN(own)
	return r.appendTo(ctx, w, n, r.Batch)
}

func (r *runner) appendTo(ctx context.Context, w *worker, stream, events int) error {
	o := eventlog.AppendOptions{Expect: eventlog.Exactly(r.heads[stream])}
	if _, err := r.log.Append(ctx, streamName(stream), &o, r.events(w.rng, events)...); err != nil {
		return err
	}
	r.heads[stream] += uint64(events)
	return nil
}

// appendBare writes the same payload bytes into a bare file.
func (r *runner) appendBare(f *barefile.File) func(context.Context, *worker) error {
	return func(_ context.Context, w *worker) error {
		if r.Batch == 1 {
			return f.Append(r.payloads[w.rng.IntN(len(r.payloads))])
		}
		b := make([]byte, 0, r.Batch*r.Size)
		for range r.Batch {
			b = append(b, r.payloads[w.rng.IntN(len(r.payloads))]...)
		}
		return f.Append(b)
	}
}

// tally is the state that a read-modify-write reads.
type tally struct{ Events, Sum int }

type posted struct {
	N int `json:"n"`
}

// EventType returns the stored name.
func (posted) EventType() string { return eventType }

var tallies = eventlog.Model[tally]{Name: "tally", Version: 1, Folds: eventlog.Folds[tally]{
	eventlog.On(func(t *tally, e posted) { t.Events++; t.Sum += e.N }),
}}

// modify reads the state of a stream and appends what follows from it.
func (r *runner) modify(ctx context.Context, w *worker, stream string) error {
	events := r.events(w.rng, r.Batch)
	_, err := r.log.Update(ctx, func(tx *eventlog.Tx) error {
		t, err := tallies.Load(tx, stream)
		if err != nil {
			return err
		}
		if t.Events < 0 {
			return fmt.Errorf("stream %s has %d events", stream, t.Events)
		}
		return tx.Append(stream, events...)
	})
	return err
}

func (r *runner) countRerun() { atomic.AddInt64(&r.result.Reruns, 1) }
