package prommetrics

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/outbox"
)

// outboxNow collects what a runner says of itself when it is asked.
type outboxNow struct {
	runner                                                 *outbox.Runner
	healthy, runners, held, lag                            *prometheus.Desc
	backlog, oldest, due, waiting, parked, stopped, shards *prometheus.Desc
}

func newOutboxNow(r *outbox.Runner) *outboxNow {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "outbox", name), help, labels, nil)
	}
	return &outboxNow{runner: r,
		healthy: desc("healthy", "1 while the runner runs and nothing keeps it from working, else 0."),
		runners: desc("runners", "Runners that share the log's shards, this one included."),
		shards:  desc("held_shards", "Shards that this runner holds the lease of."),
		lag:     desc("sweep_lag_seconds", "Time by which the last sweep that went well is overdue."),
		held:    desc("held", "1 for a shard that this runner holds the lease of.", "shard"),
		backlog: desc("backlog", "Steps that could run and have not.", "shard"),
		oldest:  desc("oldest_seconds", "Age of the oldest step that could run and has not.", "shard"),
		due:     desc("due", "Steps of the backlog that waited for their time, or their next attempt, which has come.", "shard"),
		waiting: desc("waiting", "Steps that wait for their time or their next attempt; one that was cancelled counts until its time.", "shard"),
		parked:  desc("parked", "Steps that are left to another program: of a type that no runner knew, or parked by their handler.", "shard"),
		stopped: desc("stopped", "Steps whose target is stopped by one that failed, this one included.", "shard"),
	}
}

func (o *outboxNow) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{o.healthy, o.runners, o.shards, o.lag,
		o.held, o.backlog, o.oldest, o.due, o.waiting, o.parked, o.stopped} {
		out <- d
	}
}

func (o *outboxNow) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	s, err := o.runner.Status(ctx)
	healthy := 0.0
	if err == nil && s.Running && len(s.Errs) == 0 {
		healthy = 1
	}
	out <- gauge(o.healthy, healthy)
	if err != nil || !s.Running {
		return
	}
	out <- gauge(o.runners, float64(s.Runners))
	out <- gauge(o.shards, float64(s.SweepInfo.Held))
	out <- gauge(o.lag, s.Lag.Seconds())
	for _, i := range s.Shards {
		if !i.Held { // whoever holds it says the same
			continue
		}
		shard := strconv.Itoa(i.Shard)
		out <- gauge(o.held, 1, shard)
		out <- gauge(o.backlog, float64(i.Backlog), shard)
		out <- gauge(o.oldest, i.Oldest.Seconds(), shard)
		out <- gauge(o.due, float64(i.Due), shard)
		out <- gauge(o.waiting, float64(i.Waiting), shard)
		out <- gauge(o.parked, float64(i.Parked), shard)
		out <- gauge(o.stopped, float64(i.Stopped), shard)
	}
}
