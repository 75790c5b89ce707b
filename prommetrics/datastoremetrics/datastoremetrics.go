// Package datastoremetrics shows a log on Google Cloud Datastore to Prometheus: its
// calls and what they cost. It stands apart from prommetrics, so that programs
// without Datastore do not compile its client.
//
//	hooks, err := datastoremetrics.Hooks(reg)
//	…
//	store, err := datastorelog.Open(ctx, project, &datastorelog.Options{Hooks: hooks})
//
// docs/metrics.md lists the metrics.
package datastoremetrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog/datastorelog"
)

// Hooks returns hooks for the options of a store, and registers what they count:
// rollforward_datastore_…. An error says that reg has such metrics already; then
// nothing was registered.
func Hooks(reg prometheus.Registerer) (datastorelog.Hooks, error) {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "rollforward", Subsystem: "datastore", Name: name, Help: help}
	}
	var (
		calls = prometheus.NewCounterVec(opts("calls_total", "Calls to the service, by method and gRPC code."), []string{"method", "code"})
		took  = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "rollforward", Subsystem: "datastore", Name: "call_duration_seconds", Help: "Time that calls took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), NativeHistogramBucketFactor: 1.1,
		}, []string{"method"})
		reads   = prometheus.NewCounter(opts("entity_reads_total", "Entities read, as they are charged; one for a query that finds none."))
		writes  = prometheus.NewCounter(opts("entity_writes_total", "Entities written."))
		deletes = prometheus.NewCounter(opts("entity_deletes_total", "Entities deleted."))
		entries = prometheus.NewCounter(opts("index_entries_total", "Index entries written: two for each indexed value."))
		small   = prometheus.NewCounter(opts("small_operations_total", "Results that the index answered alone."))
		lost    = prometheus.NewCounter(opts("races_lost_total", "Writes that lost the race for their place in a shard. Many: other processes write the same shard."))
	)
	list := []prometheus.Collector{calls, took, reads, writes, deletes, entries, small, lost}
	for i, c := range list {
		if err := reg.Register(c); err != nil {
			for _, before := range list[:i] {
				reg.Unregister(before)
			}
			return datastorelog.Hooks{}, fmt.Errorf("datastoremetrics: %w", err)
		}
	}
	return datastorelog.Hooks{
		Call: func(c datastorelog.CallInfo) {
			calls.WithLabelValues(c.Method, c.Code).Inc()
			took.WithLabelValues(c.Method).Observe(c.Duration.Seconds())
			reads.Add(float64(c.Usage.Reads))
			writes.Add(float64(c.Usage.Writes))
			deletes.Add(float64(c.Usage.Deletes))
			entries.Add(float64(c.Usage.IndexEntries))
			small.Add(float64(c.Usage.Small))
		},
		Lost: func(int) { lost.Inc() },
	}, nil
}
