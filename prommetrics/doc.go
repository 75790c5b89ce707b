// Package prommetrics shows the parts of Rollforward to Prometheus. Each function
// takes one part and registers its metrics:
//
//	reg := prometheus.NewRegistry()
//	hooks, err := prommetrics.Log(reg)
//	…
//	log, err := eventlog.Open(ctx, store, &eventlog.Options{Hooks: hooks})
//	…
//	err = prommetrics.Outbox(reg, stepRunner)
//	err = prommetrics.Sagas(reg, census)
//	err = prommetrics.Projections(reg, runner)
//
// docs/metrics.md lists the metrics. They are labelled by shard and by the names
// that a program declares (models, step types, sagas, projections), never by streams or by
// anything else that grows with the data.
//
// What is registered twice is refused. A program with several logs, or several
// runners, gives each a label of its own:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"log": "bank"}, reg)
//
// Histograms have classic buckets and are native too: the server that scrapes
// decides which it takes.
package prommetrics
