package prommetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog"
)

// Log returns hooks for the options of a log, and registers what they count:
// rollforward_eventlog_…. An error says that reg has such metrics already; then
// nothing was registered.
func Log(reg prometheus.Registerer) (eventlog.Hooks, error) {
	const part = "eventlog"
	var (
		duration      = histogram(part, "write_duration_seconds", "Time that the store took for a durable write.", durations)
		commits       = histogram(part, "write_commits", "Commits that shared a durable write; the sum is all commits.", sizes)
		transactions  = counter(part, "transactions_total", "Transactions that durable writes answered.")
		events        = counter(part, "events_total", "Events appended.")
		bytes         = counter(part, "bytes_total", "Bytes of the commits, as they are encoded.")
		conflicts     = counter(part, "conflicts_total", "Times that the function of an Update had to run again.")
		snapshots     = counters(part, "snapshots_total", "Snapshots of states written.", "model")
		snapshotBytes = counters(part, "snapshot_bytes_total", "Bytes of the snapshots.", "model")
	)
	err := register(reg, "log", duration, commits, transactions, events, bytes, conflicts, snapshots, snapshotBytes)
	if err != nil {
		return eventlog.Hooks{}, err
	}
	return eventlog.Hooks{
		Group: func(g eventlog.GroupInfo) {
			duration.Observe(g.Duration.Seconds())
			commits.Observe(float64(g.Commits))
			transactions.Add(float64(g.Callers))
			events.Add(float64(g.Events))
			bytes.Add(float64(g.Bytes))
		},
		Conflict: conflicts.Inc,
		Snapshot: func(model string, n int) {
			model = label(model)
			snapshots.WithLabelValues(model).Inc()
			snapshotBytes.WithLabelValues(model).Add(float64(n))
		},
	}, nil
}
