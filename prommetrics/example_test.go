package prommetrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/prommetrics"
)

func ExampleLog() {
	ctx := context.Background()
	reg := prometheus.NewRegistry()
	hooks, err := prommetrics.Log(reg)
	if err != nil {
		log.Fatal(err)
	}
	l, err := eventlog.Open(ctx, memlog.Open(), &eventlog.Options{Hooks: hooks})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(ctx, "account/ada", nil, posted{500}, posted{250}); err != nil {
		log.Fatal(err)
	}
	families, err := reg.Gather() // promhttp.HandlerFor(reg, …) serves them
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rollforward_eventlog_events_total" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	// Output: rollforward_eventlog_events_total 2
}
