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

		putDuration = histogram(part, "relaxed_write_duration_seconds", "Time that the store took for a durable put of relaxed appends.", durations)
		putAppends  = histogram(part, "relaxed_write_appends", "Relaxed appends that shared a put; the sum is all of them.", sizes)
		putEvents   = counter(part, "relaxed_events_total", "Events of relaxed appends, when they were put.")
		foldAppends = counters(part, "folded_appends_total", "Relaxed appends that were folded into a shard: placed, repeated (their id was taken by the same content) or reused (by other content).", "result")
		foldEvents  = counter(part, "folded_events_total", "Events of the relaxed appends that were placed.")
		foldLag     = histogram(part, "fold_lag_seconds", "Time from the oldest relaxed append of a fold to its place.", durations)
	)
	err := register(reg, "log", duration, commits, transactions, events, bytes, conflicts, snapshots, snapshotBytes,
		putDuration, putAppends, putEvents, foldAppends, foldEvents, foldLag)
	if err != nil {
		return eventlog.Hooks{}, err
	}
	for _, result := range []string{"placed", "repeated", "reused"} {
		foldAppends.WithLabelValues(result) // there from the start, so that a first one is a change
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
		Loose: func(p eventlog.LooseInfo) {
			putDuration.Observe(p.Duration.Seconds())
			putAppends.Observe(float64(p.Appends))
			putEvents.Add(float64(p.Events))
		},
		Fold: func(f eventlog.FoldInfo) {
			foldAppends.WithLabelValues("placed").Add(float64(f.Appends))
			foldAppends.WithLabelValues("repeated").Add(float64(f.Repeated - f.Reused))
			foldAppends.WithLabelValues("reused").Add(float64(f.Reused))
			foldEvents.Add(float64(f.Events))
			if f.Appends > 0 {
				foldLag.Observe(f.Lag.Seconds())
			}
		},
	}, nil
}
