package prommetrics

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/projection"
)

// Projections registers how the projections of a runner fare:
// rollforward_projection_…. Each scrape asks the runner's Status, which reads
// the sink and, where a projection is behind, up to a thousand commits of the
// shard. While Status fails a projection is not healthy and its other numbers are
// missing, because nobody knows them. An error says that the runner is not
// complete, or that reg has such metrics already; then nothing was registered.
//
// The runner need not run here: metrics of a projection that another process
// runs are as true.
func Projections[T any](reg prometheus.Registerer, r *projection.Runner[T]) error {
	if r == nil || r.Log == nil || r.Sink == nil {
		return errors.New("prommetrics: projections: a runner needs a Log and a Sink")
	}
	const part = "projection"
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, part, name), help, labels, nil)
	}
	return register(reg, "projections", &projections[T]{runner: r,
		healthy:    desc("healthy", "1 while nothing keeps the projection from going on, 0 while it is stopped or something is being retried.", "projection"),
		lagEvents:  desc("lag_events", "Events of the log that have not taken effect (an estimate beyond a thousand commits).", "projection", "shard"),
		lagSeconds: desc("lag_seconds", "Age of the oldest of these events.", "projection", "shard"),
		events:     desc("events_total", "Events that took effect (handled) or have no handler (skipped), since the last rebuild.", "projection", "shard", "result"),
	})
}

type projections[T any] struct {
	runner                                 *projection.Runner[T]
	healthy, lagEvents, lagSeconds, events *prometheus.Desc
}

func (p *projections[T]) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.healthy, p.lagEvents, p.lagSeconds, p.events} {
		out <- d
	}
}

// scrapePatience is how long a scrape waits for sink and log.
const scrapePatience = 5 * time.Second

func (p *projections[T]) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	for i := range p.runner.Projections {
		name := p.runner.Projections[i].Name
		list, err := p.runner.Status(ctx, name)
		if err != nil {
			out <- gauge(p.healthy, 0, label(name))
			continue
		}
		p.collect(out, &list[0])
	}
}

func (p *projections[T]) collect(out chan<- prometheus.Metric, s *projection.Status) {
	name, healthy := label(s.Name), 0.0
	if s.Healthy() {
		healthy = 1
	}
	out <- gauge(p.healthy, healthy, name)
	for _, sh := range s.Shards {
		shard := strconv.Itoa(sh.Shard)
		out <- gauge(p.lagEvents, float64(sh.Events), name, shard)
		out <- gauge(p.lagSeconds, sh.Lag.Seconds(), name, shard)
		out <- prometheus.MustNewConstMetric(p.events, prometheus.CounterValue, float64(sh.Handled), name, shard, "handled")
		out <- prometheus.MustNewConstMetric(p.events, prometheus.CounterValue, float64(sh.Skipped), name, shard, "skipped")
	}
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}
